// Finds tokens that are recognised in the text before it is split: control tokens and words added after
// training. Leftmost match, longest at that place. Immutable after the last add(); any thread may search.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace llmd::tokenizer {

struct AddedToken {
  Token id = 0;
  std::string content;
  bool special = false;      // a control token: skipped when decoding, ignored unless parse_special
  bool lstrip = false;       // takes the whitespace before it along
  bool rstrip = false;       // ... and behind it
  bool single_word = false;  // only between characters that belong to no word
  bool normalized = false;   // searched in the normalised text instead of the original
};

class AddedTokens {
 public:
  void add(AddedToken token);

  struct Match {
    std::size_t begin, end;  // with the whitespace it takes along
    Token id;
  };
  // The first match at or behind `from`.
  std::optional<Match> find(std::string_view text, std::size_t from, bool parse_special) const;
  bool empty() const { return tokens_.empty(); }

 private:
  std::optional<Match> match_at(std::string_view text, std::size_t at, bool parse_special) const;

  struct Node {
    std::vector<std::pair<char, std::uint32_t>> children;
    std::int32_t token = -1;  // index into tokens_
  };
  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_{1};
  bool begins_[256] = {};
};

}  // namespace llmd::tokenizer
