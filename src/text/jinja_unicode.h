// Python's view of text (code points) on UTF-8 bytes. Invalid bytes count as one character each and are kept.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace llmd::text::jinja {

// Offsets of the characters of `text`, and text.size() at the end.
std::vector<std::size_t> character_offsets(std::string_view text);
std::int64_t character_count(std::string_view text);
// Bytes of the character that starts at `offset`, at least 1.
std::size_t character_size(std::string_view text, std::size_t offset);

bool is_space(std::string_view character);
std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);
std::string title(std::string_view text);  // str.title(): every run of letters starts upper case
bool all_of_class(std::string_view text,
                  char python_class);  // 'a' isalpha, 'd' isdigit, 'n' isalnum, 's', 'u', 'l'

enum class Side { Left, Right, Both };
// strip(): whitespace when `characters` is empty.
std::string_view strip(std::string_view text, std::string_view characters, Side side);

std::string quoted(std::string_view text);  // repr of a str
std::string html_escaped(std::string_view text);
void append_utf8(std::string& text, char32_t code_point);

}  // namespace llmd::text::jinja
