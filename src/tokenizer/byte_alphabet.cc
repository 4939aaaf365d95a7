#include "tokenizer/byte_alphabet.h"

#include <array>
#include <cstdint>

namespace llmd::tokenizer {
namespace {

constexpr std::uint16_t kFirstSubstitute = 0x100;

constexpr bool is_printable(unsigned byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

// The 68 bytes that are not printable, in order: they became U+0100, U+0101, ...
constexpr auto kSubstituted = [] {
  std::array<std::uint8_t, 68> bytes{};
  std::size_t count = 0;
  for (unsigned byte = 0; byte < 256; ++byte) {
    if (!is_printable(byte))
      bytes[count++] = static_cast<std::uint8_t>(byte);
  }
  return bytes;
}();

}  // namespace

bool append_bytes_of(std::string& out, std::string_view text) {
  const auto before = out.size();
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned code_point = static_cast<unsigned char>(text[i]);
    if (code_point >= 0xC2 && code_point <= 0xC5 && i + 1 < text.size()) {
      code_point = ((code_point & 0x1FU) << 6) | (static_cast<unsigned char>(text[++i]) & 0x3FU);
    } else if (code_point >= 0x80) {
      code_point = ~0U;
    }
    const unsigned substitute = code_point - kFirstSubstitute;  // wraps to something large below U+0100
    if (substitute < kSubstituted.size()) {
      out += static_cast<char>(kSubstituted[substitute]);
    } else if (code_point <= 0xFF && is_printable(code_point)) {
      out += static_cast<char>(code_point);
    } else {
      out.resize(before);
      return false;
    }
  }
  return true;
}

std::string bytes_or_text(std::string_view text) {
  std::string out;
  return append_bytes_of(out, text) ? out : std::string(text);
}

}  // namespace llmd::tokenizer
