#include "engine/core/step_budget.h"

#include <algorithm>

namespace llmd::engine {

int StepBudget::tokens(int decodes) const {
  if (fixed_ > 0) {
    return fixed_;
  }
  const double left = std::max(0.0, kTargetSeconds - (decodes > 0 ? seconds_per_decode_step_ : 0));
  return decodes + std::clamp(static_cast<int>(left / seconds_per_prompt_token_), kLeast, kMost);
}

void StepBudget::learn(int prompt_tokens, int decodes, Duration duration) {
  constexpr double kWeight = 0.3;  // of the newest observation: follows a change within a few steps
  const double seconds = std::chrono::duration<double>(duration).count();
  if (prompt_tokens == 0) {
    seconds_per_decode_step_ += kWeight * (seconds - seconds_per_decode_step_);
  } else if (prompt_tokens >= kLeast) {
    const double own = std::max(0.0, seconds - (decodes > 0 ? seconds_per_decode_step_ : 0));
    const double per_token = std::max(1e-7, own / prompt_tokens);
    seconds_per_prompt_token_ += kWeight * (per_token - seconds_per_prompt_token_);
  }
}

}  // namespace llmd::engine
