#include "engine/core/utf8.h"

#include <cstdint>

namespace llmd::engine {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

enum class Verdict { Complete, Incomplete, Invalid };
struct Scan {
  Verdict verdict;
  std::size_t length;  // of the character, or of the bytes to replace by one U+FFFD
};

// The first character of `bytes` (not empty), by the table of well-formed byte sequences of the Unicode
// standard.
Scan scan(std::string_view bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) {
    return {Verdict::Complete, 1};
  }
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4) {
    return {Verdict::Invalid, 1};
  }
  for (std::size_t i = 1; i < length; ++i) {
    if (i == bytes.size()) {
      return {Verdict::Incomplete, i};
    }
    std::uint8_t low = 0x80;
    std::uint8_t high = 0xBF;
    if (i == 1) {
      low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : low;    // no overlong forms
      high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : high;  // no surrogates, nothing above U+10FFFF
    }
    if (byte(i) < low || byte(i) > high) {
      return {Verdict::Invalid, i};
    }
  }
  return {Verdict::Complete, length};
}

}  // namespace

void Utf8Repair::push(std::string_view bytes, std::string& out) {
  std::string joined;
  if (!pending_.empty()) {
    joined = pending_ + std::string(bytes);
    bytes = joined;
    pending_.clear();
  }
  while (!bytes.empty()) {
    const Scan found = scan(bytes);
    if (found.verdict == Verdict::Incomplete) {
      pending_ = bytes;
      return;
    }
    out += found.verdict == Verdict::Complete ? bytes.substr(0, found.length) : kReplacement;
    bytes.remove_prefix(found.length);
  }
}

void Utf8Repair::finish(std::string& out) {
  if (!pending_.empty()) {
    out += kReplacement;
    pending_.clear();
  }
}

std::string repair_utf8(std::string_view bytes) {
  std::string out;
  Utf8Repair repair;
  repair.push(bytes, out);
  repair.finish(out);
  return out;
}

}  // namespace llmd::engine
