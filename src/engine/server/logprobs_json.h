// Log-probabilities in the shapes of the three places they appear in.
#pragma once

#include <span>
#include <string>

#include "engine/core/sampler.h"
#include "tokenizer/tokenizer.h"

namespace llmd::engine {

struct TokenNames {
  const tokenizer::Tokenizer& tokenizer;
  bool as_ids = false;  // "token_id:42" instead of the text

  std::string of(Token token) const;
};

// {"content":[{"token","logprob","bytes","top_logprobs":[…]}]}
void write_chat_logprobs(std::string& out, const TokenNames& names,
                         std::span<const PositionLogprobs> positions);

// {"text_offset","token_logprobs","tokens","top_logprobs"}. With a prompt (echo) its tokens come first, the
// very first without a score. `offset`: characters before these tokens; returns it behind them.
struct EchoedPrompt {
  std::span<const Token> tokens;
  std::span<const PositionLogprobs> scores;  // of tokens 1 and up
};
std::size_t write_completion_logprobs(std::string& out, const TokenNames& names, const EchoedPrompt& prompt,
                                      std::span<const PositionLogprobs> positions, std::size_t offset);

// [null, {"42":{"logprob","rank","decoded_token"}}, …]
void write_prompt_logprobs(std::string& out, const TokenNames& names,
                           std::span<const PositionLogprobs> positions);

}  // namespace llmd::engine
