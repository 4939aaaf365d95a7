// A compiled regular expression in the dialect of tokenizer files (Oniguruma's, as far as they use it), on
// PCRE2 with its just-in-time compiler. Immutable after compile; any thread may match.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace llmd::tokenizer {

struct Range {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool operator==(const Range&) const = default;
};

class Regex {
 public:
  static Result<Regex> compile(std::string_view pattern);
  static Result<Regex> compile_literal(std::string_view text);

  // All matches from left to right without overlap. Invalid UTF-8 in `text` matches nothing.
  void matches(std::string_view text, std::vector<Range>& out) const;

 private:
  struct Code;
  explicit Regex(std::shared_ptr<const Code> code) : code_(std::move(code)) {}
  static Result<Regex> compile_with(std::string_view pattern, unsigned options);
  std::shared_ptr<const Code> code_;
};

}  // namespace llmd::tokenizer
