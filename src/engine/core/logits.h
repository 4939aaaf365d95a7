// What a request does to the logits before a token is drawn, in vLLM's order: allowed tokens, bad words, no
// early end, bias, penalties, structured output.
#pragma once

#include <span>
#include <vector>

#include "engine/core/sequence.h"

namespace llmd::engine {

class LogitEditor {
 public:
  // `end_tokens`: what ends a turn, besides the request's own stop_token_ids.
  LogitEditor(int vocab_size, std::vector<Token> end_tokens)
      : counts_(static_cast<std::size_t>(vocab_size)), end_tokens_(std::move(end_tokens)) {}

  // False when there was nothing to change.
  bool edit(const Sequence& sequence, std::span<float> logits);

 private:
  void allow_only(const Sequence& sequence, std::span<float> logits);
  void apply_penalties(const Sequence& sequence, std::span<float> logits);

  std::vector<int> counts_;  // all zero between calls
  std::vector<float> kept_;
  std::vector<Token> end_tokens_;
};

}  // namespace llmd::engine
