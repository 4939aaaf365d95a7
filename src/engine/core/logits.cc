#include "engine/core/logits.h"

#include <algorithm>
#include <limits>

namespace llmd::engine {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

float& at(std::span<float> logits, Token token) {
  return logits[static_cast<std::size_t>(token)];
}

// Forbids the last token of each bad word whose other tokens have just been generated.
void forbid_bad_words(const Sequence& sequence, std::span<float> logits) {
  const auto output = std::span(sequence.tokens).subspan(static_cast<std::size_t>(sequence.prompt_length));
  for (const std::vector<Token>& word : sequence.params.bad_words) {
    const std::size_t prefix = word.empty() ? 0 : word.size() - 1;
    if (!word.empty() && output.size() >= prefix &&
        std::ranges::equal(output.last(prefix), std::span(word).first(prefix))) {
      at(logits, word.back()) = kNever;
    }
  }
}

}  // namespace

bool LogitEditor::edit(const Sequence& sequence, std::span<float> logits) {
  const SamplingParams& params = sequence.params;
  const bool too_early = sequence.output_length() < params.min_tokens;
  const bool penalties =
      params.repetition_penalty != 1 || params.presence_penalty != 0 || params.frequency_penalty != 0;
  if (params.allowed_token_ids.empty() && params.bad_words.empty() && !too_early &&
      params.logit_bias.empty() && !penalties && !params.constraint) {
    return false;
  }
  if (!params.allowed_token_ids.empty()) {
    allow_only(sequence, logits);
  }
  forbid_bad_words(sequence, logits);
  if (too_early) {
    for (const Token token : end_tokens_) {
      at(logits, token) = kNever;
    }
    for (const Token token : params.stop_token_ids) {
      at(logits, token) = kNever;
    }
  }
  for (const auto& [token, bias] : params.logit_bias) {
    at(logits, token) += bias;
  }
  if (penalties) {
    apply_penalties(sequence, logits);
  }
  if (params.constraint) {
    params.constraint->forbid_others(sequence.constraint_state, logits);
  }
  return true;
}

void LogitEditor::allow_only(const Sequence& sequence, std::span<float> logits) {
  const std::vector<Token>& allowed = sequence.params.allowed_token_ids;
  kept_.clear();
  for (const Token token : allowed) {
    kept_.push_back(at(logits, token));
  }
  std::ranges::fill(logits, kNever);
  for (std::size_t i = 0; i < allowed.size(); ++i) {
    at(logits, allowed[i]) = kept_[i];
  }
}

void LogitEditor::apply_penalties(const Sequence& sequence, std::span<float> logits) {
  const SamplingParams& params = sequence.params;
  const auto repetition = static_cast<float>(params.repetition_penalty);
  const auto all = std::span(sequence.tokens);
  const auto prompt_length = static_cast<std::size_t>(sequence.prompt_length);
  // Output first, with counts; then the prompt, where only "seen at all" matters.
  for (const Token token : all.subspan(prompt_length)) {
    ++counts_[static_cast<std::size_t>(token)];
  }
  const auto punish = [&](Token token) {
    int& count = counts_[static_cast<std::size_t>(token)];
    if (count < 0) {
      return;  // done
    }
    float& logit = at(logits, token);
    logit = logit > 0 ? logit / repetition : logit * repetition;
    if (count > 0) {
      logit -= static_cast<float>(params.frequency_penalty) * static_cast<float>(count);
      logit -= static_cast<float>(params.presence_penalty);
    }
    count = -1;
  };
  std::ranges::for_each(all, punish);
  for (const Token token : all) {
    counts_[static_cast<std::size_t>(token)] = 0;
  }
}

}  // namespace llmd::engine
