#include "engine/core/sampling_params.h"

#include <algorithm>
#include <cmath>

namespace llmd::engine {
namespace {

Result<void> check_range(std::string_view name, double value, double low, double high) {
  if (!(value >= low && value <= high)) {
    return invalid_argument("{}: must be between {} and {}, got {}", name, low, high, value);
  }
  return {};
}

Result<void> check_tokens(std::string_view name, const std::vector<Token>& tokens, int vocab_size) {
  for (const Token token : tokens) {
    if (token < 0 || token >= vocab_size) {
      return invalid_argument("{}: token id {} is not in the vocabulary (0 to {})", name, token,
                              vocab_size - 1);
    }
  }
  return {};
}

Result<void> check_distribution(const SamplingParams& params) {
  if (!(params.temperature >= 0) || std::isinf(params.temperature)) {
    return invalid_argument("temperature: must not be negative, got {}", params.temperature);
  }
  if (!(params.top_p > 0 && params.top_p <= 1)) {
    return invalid_argument("top_p: must be in (0, 1], got {}", params.top_p);
  }
  if (params.top_k < -1) {
    return invalid_argument("top_k: must be -1 (off), 0 (off) or positive, got {}", params.top_k);
  }
  LLMD_TRY_VOID(check_range("min_p", params.min_p, 0, 1));
  LLMD_TRY_VOID(check_range("presence_penalty", params.presence_penalty, -2, 2));
  LLMD_TRY_VOID(check_range("frequency_penalty", params.frequency_penalty, -2, 2));
  if (!(params.repetition_penalty > 0) || std::isinf(params.repetition_penalty)) {
    return invalid_argument("repetition_penalty: must be positive, got {}", params.repetition_penalty);
  }
  return {};
}

Result<void> check_logprobs(const SamplingParams& params, int max_logprobs) {
  if (params.logprobs && *params.logprobs < 0) {
    return invalid_argument("logprobs: must not be negative, got {}", *params.logprobs);
  }
  if (params.logprobs && *params.logprobs > max_logprobs) {
    return invalid_argument("logprobs: at most {} are allowed (--max-logprobs), got {}", max_logprobs,
                            *params.logprobs);
  }
  if (params.prompt_logprobs && *params.prompt_logprobs < -1) {
    return invalid_argument("prompt_logprobs: must be -1 (all) or more, got {}", *params.prompt_logprobs);
  }
  if (params.prompt_logprobs && *params.prompt_logprobs > max_logprobs) {
    return invalid_argument("prompt_logprobs: at most {} are allowed (--max-logprobs), got {}", max_logprobs,
                            *params.prompt_logprobs);
  }
  return {};
}

}  // namespace

Result<void> check(const SamplingParams& params, int vocab_size, int max_logprobs) {
  LLMD_TRY_VOID(check_distribution(params));
  LLMD_TRY_VOID(check_logprobs(params, max_logprobs));
  if (params.max_tokens < 0) {
    return invalid_argument("max_tokens: must not be negative, got {}", params.max_tokens);
  }
  if (params.min_tokens < 0) {
    return invalid_argument("min_tokens: must not be negative, got {}", params.min_tokens);
  }
  if (params.min_tokens > params.max_tokens) {
    return invalid_argument("min_tokens: must not be more than max_tokens ({}), got {}", params.max_tokens,
                            params.min_tokens);
  }
  if (std::ranges::any_of(params.stop, &std::string::empty)) {
    return invalid_argument("stop: must not contain an empty string");
  }
  LLMD_TRY_VOID(check_tokens("stop_token_ids", params.stop_token_ids, vocab_size));
  LLMD_TRY_VOID(check_tokens("allowed_token_ids", params.allowed_token_ids, vocab_size));
  for (const auto& [token, bias] : params.logit_bias) {
    if (token < 0 || token >= vocab_size) {
      return invalid_argument("logit_bias: token id {} is not in the vocabulary (0 to {})", token,
                              vocab_size - 1);
    }
    LLMD_TRY_VOID(check_range("logit_bias", bias, -100, 100));
  }
  return {};
}

}  // namespace llmd::engine
