#include "train_tiny/adamw.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

namespace llmd::train_tiny {

AdamW::AdamW(const AdamWOptions& options, std::vector<bool> decays)
    : options_(options), decays_(std::move(decays)), mean_(decays_.size()), square_(decays_.size()) {}

float AdamW::rate() const {
  if (step_ <= options_.warm_up) {
    return options_.peak_rate * static_cast<float>(step_) / static_cast<float>(options_.warm_up);
  }
  const double left = std::max(1, options_.steps - options_.warm_up);
  const double done = std::min(1.0, (step_ - options_.warm_up) / left);
  return options_.peak_rate * static_cast<float>(0.1 + 0.45 * (1 + std::cos(std::numbers::pi * done)));
}

void AdamW::update(std::span<const float> gradient, std::span<float> weights) {
  ++step_;
  double squares = 0;
  for (const float value : gradient) {
    squares += static_cast<double>(value) * value;
  }
  const auto norm = static_cast<float>(std::sqrt(squares));
  const float shrink = norm > options_.clip ? options_.clip / norm : 1.0F;
  const float rate_now = rate();
  const float mean_bias = 1 - std::pow(options_.beta1, static_cast<float>(step_));
  const float square_bias = 1 - std::pow(options_.beta2, static_cast<float>(step_));
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const float g = gradient[i] * shrink;
    mean_[i] += (1 - options_.beta1) * (g - mean_[i]);
    square_[i] += (1 - options_.beta2) * (g * g - square_[i]);
    const float move = mean_[i] / mean_bias / (std::sqrt(square_[i] / square_bias) + 1e-8F);
    weights[i] -= rate_now * (move + (decays_[i] ? options_.decay * weights[i] : 0.0F));
  }
}

}  // namespace llmd::train_tiny
