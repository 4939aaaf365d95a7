#include "train_tiny/generate.h"

#include <algorithm>

#include "train_tiny/corpus.h"

namespace llmd::train_tiny {
namespace {

Step greedy_step(std::span<const float> logits) {
  Step step{.token = 0, .runner_up = 1};
  for (int i = 1; i < static_cast<int>(logits.size()); ++i) {
    const float logit = logits[static_cast<std::size_t>(i)];
    if (logit > logits[static_cast<std::size_t>(step.token)]) {
      step.runner_up = step.token;
      step.token = i;
    } else if (i == 1 || logit > logits[static_cast<std::size_t>(step.runner_up)]) {
      step.runner_up = i;
    }
  }
  step.logit = logits[static_cast<std::size_t>(step.token)];
  step.margin = step.logit - logits[static_cast<std::size_t>(step.runner_up)];
  step.log_probability = step.logit - log_sum_exp(logits.data(), static_cast<int>(logits.size()));
  return step;
}

double score(std::span<const float> logits, const std::vector<Token>& tokens) {
  const std::size_t width = logits.size() / tokens.size();
  double sum = 0;
  for (std::size_t i = 0; i + 1 < tokens.size(); ++i) {
    const auto row = logits.subspan(i * width, width);
    sum += row[static_cast<std::size_t>(tokens[i + 1])] - log_sum_exp(row.data(), static_cast<int>(width));
  }
  return sum;
}

}  // namespace

std::vector<Token> Generation::tokens() const {
  std::vector<Token> result;
  std::ranges::transform(steps, std::back_inserter(result), &Step::token);
  return result;
}

double Generation::log_probability() const {
  double sum = 0;
  for (const Step& step : steps) {
    sum += step.log_probability;
  }
  return sum;
}

Generation generate(Workspace& workspace, std::span<const float> weights, std::vector<Token> prompt,
                    int max_tokens) {
  Generation result;
  for (int i = 0; i < max_tokens && !result.stopped; ++i) {
    const std::span<const float> logits = workspace.forward(weights, prompt);
    if (i == 0) {
      result.prompt_log_probability = score(logits, prompt);
    }
    const std::size_t width = logits.size() / prompt.size();
    const Step step = greedy_step(logits.last(width));
    result.steps.push_back(step);
    result.stopped = step.token == kTurnEnd || step.token == kEndOfText;
    prompt.push_back(step.token);
  }
  return result;
}

}  // namespace llmd::train_tiny
