// Where the text of a JSON string may end: the search that nearly every byte of a prompt goes through.
// Private to openai.
#pragma once

#include <cstddef>
#include <string_view>

namespace llmd::openai {

// The position of the next quote or backslash at or after `at`; the size when there is none. Any thread.
std::size_t find_quote_or_backslash(std::string_view bytes, std::size_t at);

}  // namespace llmd::openai
