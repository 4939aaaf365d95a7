// Bytes as text: hex and base64. Decoders accept exactly what the encoders write and nothing else.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace llmd::crypto {

// A digest or another array of bytes, seen as a string_view.
inline std::string_view bytes_of(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string to_hex(std::string_view bytes);  // lower case
inline std::string to_hex(std::span<const std::uint8_t> bytes) {
  return to_hex(bytes_of(bytes));
}
Result<std::string> from_hex(std::string_view text);  // either case

enum class Base64 {
  Standard,  // + and /, padded with =
  Url,       // - and _, not padded: file names, wheel records, JWTs
};
std::string to_base64(std::string_view bytes, Base64 variant = Base64::Standard);
inline std::string to_base64(std::span<const std::uint8_t> bytes, Base64 variant = Base64::Standard) {
  return to_base64(bytes_of(bytes), variant);
}
// Padding may be missing for either variant; anything else that is wrong is InvalidArgument.
Result<std::string> from_base64(std::string_view text, Base64 variant = Base64::Standard);

}  // namespace llmd::crypto
