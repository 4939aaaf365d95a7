// Bytes nobody can guess, from the operating system's generator, and comparison that leaks nothing.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace llmd::crypto {

std::string random_bytes(std::size_t count);
// 2·count hexadecimal digits: request ids, tokens.
std::string random_hex(std::size_t count);

// Takes the same time wherever the first difference is. Lengths are not secret.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace llmd::crypto
