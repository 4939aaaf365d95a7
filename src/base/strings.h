// Small string functions that the standard library lacks.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llmd {

std::string_view trim(std::string_view text);
std::vector<std::string_view> split(std::string_view text, char separator);  // keeps empty pieces
std::string join(std::span<const std::string> pieces, std::string_view separator);
std::string to_lower(std::string_view text);                        // ASCII
bool equals_ignoring_case(std::string_view a, std::string_view b);  // ASCII

// The candidate a person most likely meant by `name`: smallest edit distance (insert, delete, replace, swap
// of neighbours; case and '-' '_' do not count), at most a third of the length away. Empty when nothing is
// near.
std::optional<std::string_view> nearest_name(std::string_view name,
                                             std::span<const std::string_view> candidates);

// "did you mean 'x'?" or an empty string: ready for Error::hint.
std::string did_you_mean(std::string_view name, std::span<const std::string_view> candidates);

// Decimal integers only, the whole text, no sign for unsigned types; nullopt otherwise.
std::optional<long long> parse_integer(std::string_view text);
std::optional<double> parse_number(std::string_view text);

// 1536 -> "1.5 KiB"; for people, never parsed again.
std::string human_bytes(unsigned long long bytes);

}  // namespace llmd
