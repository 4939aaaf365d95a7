// What a request says about choosing tokens, checked and with all defaults applied. Names are vLLM's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/grammar/token_constraint.h"
#include "engine/model/model.h"

namespace llmd::engine {

struct SamplingParams {
  double temperature = 1.0;  // below kGreedyTemperature: the most likely token
  double top_p = 1.0;
  int top_k = 0;  // 0 and -1: off
  double min_p = 0.0;
  double repetition_penalty = 1.0;
  double presence_penalty = 0.0;
  double frequency_penalty = 0.0;
  std::vector<std::pair<Token, float>> logit_bias;
  std::vector<Token> allowed_token_ids;       // empty: all
  std::vector<std::vector<Token>> bad_words;  // token sequences that must not be completed
  std::optional<std::uint64_t> seed;          // absent: the engine chooses one

  int max_tokens = 16;  // 0: only score the prompt
  int min_tokens = 0;   // no end of any kind before this many tokens
  bool ignore_eos = false;
  std::vector<Token> stop_token_ids;
  std::vector<std::string> stop;
  bool include_stop_str_in_output = false;
  bool skip_special_tokens = true;

  std::shared_ptr<TokenConstraint> constraint;  // structured output; absent: any text

  std::optional<int> logprobs;         // alternatives per generated token; 0: only the sampled one
  std::optional<int> prompt_logprobs;  // the same per prompt token; -1: the whole vocabulary
};

constexpr double kGreedyTemperature = 1e-5;
constexpr double kLowestTemperature = 0.01;  // smaller ones overflow; they are raised to this

inline bool is_greedy(const SamplingParams& params) {
  return params.temperature < kGreedyTemperature;
}

// The ranges of section 1.5 of the OpenAI/vLLM surface. The message begins with the parameter's name and a
// colon.
Result<void> check(const SamplingParams& params, int vocab_size, int max_logprobs);

}  // namespace llmd::engine
