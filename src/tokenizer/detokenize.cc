#include "tokenizer/detokenize.h"

namespace llmd::tokenizer {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct Part {
  std::size_t size;
  enum { Valid, Invalid, Incomplete } state;
};

// The character, or the longest beginning of one, at the start of `text`.
Part next_part(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto lead = byte(0);
  if (lead < 0x80)
    return {1, Part::Valid};
  const std::size_t length =
      lead >= 0xC2 && lead <= 0xDF
          ? 2
          : (lead >= 0xE0 && lead <= 0xEF ? 3 : (lead >= 0xF0 && lead <= 0xF4 ? 4 : 0));
  if (length == 0)
    return {1, Part::Invalid};
  for (std::size_t i = 1; i < length; ++i) {
    if (i == text.size())
      return {i, Part::Incomplete};
    // The second byte's range excludes overlong forms, surrogates and what lies beyond U+10FFFF.
    const unsigned low = i > 1 ? 0x80 : (lead == 0xE0 ? 0xA0 : (lead == 0xF0 ? 0x90 : 0x80));
    const unsigned high = i > 1 ? 0xBF : (lead == 0xED ? 0x9F : (lead == 0xF4 ? 0x8F : 0xBF));
    if (byte(i) < low || byte(i) > high)
      return {i, Part::Invalid};
  }
  return {length, Part::Valid};
}

}  // namespace

std::string Utf8Stream::push(std::string_view bytes) {
  held_ += bytes;
  std::string_view rest = held_;
  std::string out;
  while (!rest.empty()) {
    const auto part = next_part(rest);
    if (part.state == Part::Incomplete)
      break;
    out += part.state == Part::Valid ? rest.substr(0, part.size) : kReplacement;
    rest.remove_prefix(part.size);
  }
  held_ = std::string(rest);
  return out;
}

std::string Utf8Stream::flush() {
  const bool incomplete = !held_.empty();
  held_.clear();
  return incomplete ? std::string(kReplacement) : std::string();
}

}  // namespace llmd::tokenizer
