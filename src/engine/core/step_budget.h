// How many prompt tokens to compute per step when --max-num-batched-tokens is not given: as many as fit into
// a target time, learned from the steps so far. A fixed number would stall every stream for seconds on a slow
// machine.
#pragma once

#include "base/clock.h"

namespace llmd::engine {

class StepBudget {
 public:
  // fixed > 0: that many tokens per step, always.
  explicit StepBudget(int fixed) : fixed_(fixed) {}

  // Tokens for a step that also advances `decodes` sequences by one token.
  int tokens(int decodes) const;
  void learn(int prompt_tokens, int decodes, Duration duration);

 private:
  static constexpr double kTargetSeconds = 0.15;
  static constexpr int kLeast = 32;
  static constexpr int kMost = 2048;

  const int fixed_;
  double seconds_per_prompt_token_ = kTargetSeconds / 128;  // before anything was measured
  double seconds_per_decode_step_ = 0;
};

}  // namespace llmd::engine
