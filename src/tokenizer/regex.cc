#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/regex.h"

#include <pcre2.h>

namespace llmd::tokenizer {
namespace {

// Unicode's White_Space. PCRE2's own \s also takes U+180E, which no other engine does.
constexpr std::string_view kSpaces =
    "\\x09-\\x0d\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";

// Writes \s and \S out. Inside brackets \S has no such spelling and stays.
std::string with_spaces_spelled_out(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char letter = pattern[++i];
      if (letter == 's') {
        out += in_class ? std::string(kSpaces) : "[" + std::string(kSpaces) + "]";
      } else if (letter == 'S' && !in_class) {
        out += "[^" + std::string(kSpaces) + "]";
      } else {
        out += c;
        out += letter;
      }
      continue;
    }
    if (c == '[' && in_class && !(i + 1 < pattern.size() && pattern[i + 1] == ':')) {
      out += '\\';  // Oniguruma files escape it most of the time; PCRE2 reads it as a plain character anyway
    } else if (c == '[') {
      in_class = true;
    } else if (c == ']') {
      in_class = false;
    }
    out += c;
  }
  return out;
}

}  // namespace

struct Regex::Code {
  explicit Code(pcre2_code* compiled) : code(compiled) {}
  ~Code() { pcre2_code_free(code); }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  pcre2_code* code;
};

Result<Regex> Regex::compile(std::string_view pattern) {
  return compile_with(with_spaces_spelled_out(pattern), PCRE2_UCP);
}

Result<Regex> Regex::compile_literal(std::string_view text) {
  return compile_with(text, PCRE2_LITERAL);
}

Result<Regex> Regex::compile_with(std::string_view pattern, unsigned options) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                             options | PCRE2_UTF | PCRE2_MATCH_INVALID_UTF, &error, &offset, nullptr);
  if (code == nullptr) {
    PCRE2_UCHAR message[200];
    pcre2_get_error_message(error, message, sizeof message);
    return unimplemented("regular expression '{}': {} at {}", pattern, reinterpret_cast<const char*>(message),
                         offset);
  }
  auto owned = std::make_shared<const Code>(code);
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without JIT the same results, slower
  return Regex(std::move(owned));
}

void Regex::matches(std::string_view text, std::vector<Range>& out) const {
  // One per thread: words are matched by the thousand, and each needs it only during the call.
  thread_local const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create(1, nullptr), &pcre2_match_data_free);
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  const auto* found = pcre2_get_ovector_pointer(data.get());
  for (std::size_t at = 0; at <= text.size();) {
    auto count = pcre2_match(code_->code, subject, text.size(), at, 0, data.get(), nullptr);
    if (count == PCRE2_ERROR_JIT_STACKLIMIT) {
      count = pcre2_match(code_->code, subject, text.size(), at, PCRE2_NO_JIT, data.get(), nullptr);
    }
    if (count < 0)
      return;  // no match, or one that would cost more than the library's limits
    out.push_back({found[0], found[1]});
    at = found[1];
    if (found[0] == found[1]) {
      ++at;
      while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80)
        ++at;
    }
  }
}

}  // namespace llmd::tokenizer
