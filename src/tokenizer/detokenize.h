// Text from tokens while they arrive. One token may end inside a UTF-8 sequence, so the end of it waits for
// the next. The pieces put together are what decoding all tokens at once gives.
//
// Not thread-safe; one object per stream.
#pragma once

#include <string>
#include <string_view>

#include "tokenizer/tokenizer.h"

namespace llmd::tokenizer {

// Bytes in, valid UTF-8 out. What can never become valid turns into U+FFFD, one per maximal part, as Python's
// errors="replace" and browsers do it.
class Utf8Stream {
 public:
  std::string push(std::string_view bytes);
  std::string flush();  // the end: a sequence still incomplete becomes U+FFFD
  bool holds_back() const { return !held_.empty(); }

 private:
  std::string held_;  // at most three bytes
};

class Detokenizer {
 public:
  // `tokenizer` must outlive this object.
  explicit Detokenizer(const Tokenizer& tokenizer, bool skip_special = true)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}
  std::string push(Token token) { return stream_.push(tokenizer_.piece(token, skip_special_)); }
  std::string flush() { return stream_.flush(); }

 private:
  const Tokenizer& tokenizer_;
  const bool skip_special_;
  Utf8Stream stream_;
};

}  // namespace llmd::tokenizer
