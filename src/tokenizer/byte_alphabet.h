// Byte-level vocabularies write each byte as one printable character (a space is "Ġ"); this translates back.
#pragma once

#include <string>
#include <string_view>

namespace llmd::tokenizer {

// "Ġhello" -> " hello". False, and nothing appended, when a character is not of the alphabet: such an entry
// of a vocabulary is plain text, and byte-pair encoding cannot make it.
bool append_bytes_of(std::string& out, std::string_view text);
// The bytes, or the text itself when it is not of the alphabet.
std::string bytes_or_text(std::string_view text);

}  // namespace llmd::tokenizer
