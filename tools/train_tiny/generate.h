// Greedy decoding without a cache: every step runs the whole sequence again, so nothing but the model can be
// wrong.
#pragma once

#include <span>
#include <vector>

#include "train_tiny/model.h"

namespace llmd::train_tiny {

struct Step {
  Token token = 0;  // the likeliest, the lower id among equals
  Token runner_up = 0;
  float logit = 0;
  float margin = 0;  // logit minus the runner-up's
  double log_probability = 0;
};

struct Generation {
  std::vector<Step> steps;            // the end token included
  bool stopped = false;               // by <|im_end|> or <|endoftext|>, else by length
  double prompt_log_probability = 0;  // sum over the prompt's tokens but the first

  std::vector<Token> tokens() const;
  double log_probability() const;
};

Generation generate(Workspace& workspace, std::span<const float> weights, std::vector<Token> prompt,
                    int max_tokens);

}  // namespace llmd::train_tiny
