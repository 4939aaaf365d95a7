#include "kube/base64.h"

#include <array>
#include <cstdint>

namespace llmd::kube {

namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<std::int8_t, 256> inverse() {
  std::array<std::int8_t, 256> table{};
  table.fill(-1);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    table[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
  }
  return table;
}

}  // namespace

std::string base64_encode(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    const std::size_t given = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t j = 0; j < 4; ++j) {
      text += j <= given ? kAlphabet[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  return text;
}

Result<std::string> base64_decode(std::string_view text) {
  static constexpr auto kInverse = inverse();
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t group = 0;
  int digits = 0;
  int padding = 0;
  for (const char c : text) {
    if (c == '\n' || c == '\r' || c == ' ') {
      continue;
    }
    const int value = c == '=' ? 0 : kInverse[static_cast<unsigned char>(c)];
    padding += c == '=' ? 1 : 0;
    if (value < 0 || padding > 2 || (padding > 0 && c != '=')) {
      return invalid_argument("illegal base64 data");
    }
    group = group << 6 | static_cast<std::uint32_t>(value);
    if (++digits == 4) {
      bytes += static_cast<char>(group >> 16 & 255);
      bytes += static_cast<char>(group >> 8 & 255);
      bytes += static_cast<char>(group & 255);
      digits = 0;
      group = 0;
    }
  }
  if (digits != 0) {
    return invalid_argument("illegal base64 data: the length is not a multiple of four");
  }
  bytes.resize(bytes.size() - static_cast<std::size_t>(padding));
  return bytes;
}

}  // namespace llmd::kube
