#include "picker/latency_model.h"

#include <algorithm>
#include <cmath>

namespace llmd::picker {
namespace {

constexpr double kForgetting = 0.999;
constexpr double kPrior = 1e4;  // diagonal of P: how little the zero weights are believed
constexpr double kMostP = 1e8;  // P grows without bound while inputs stand still; start anew instead

}  // namespace

LatencyFeatures LatencyFeatures::of(const State& state) {
  const double thousands = state.uncached_tokens / 1000;
  const double queue = state.tokens_in_flight / 1000;
  const double running = state.running / 16;
  LatencyFeatures features;
  features.values = {1.0F,
                     static_cast<float>(thousands),
                     static_cast<float>(thousands * state.prompt_tokens / 10000),
                     static_cast<float>(queue),
                     static_cast<float>(state.waiting / 16),
                     static_cast<float>(running),
                     static_cast<float>(state.kv_usage),
                     static_cast<float>(thousands * running),
                     static_cast<float>(running * state.kv_usage),
                     static_cast<float>(state.encoder_tokens / 1000)};
  return features;
}

LatencyModel::Regression::Regression() {
  for (std::size_t i = 0; i < kSize; ++i) {
    p[i].fill(0);
    p[i][i] = kPrior;
  }
}

double LatencyModel::Regression::predict(const LatencyFeatures& features) const {
  double y = 0;
  for (std::size_t i = 0; i < kSize; ++i) {
    y += w[i] * features.values[i];
  }
  return y;
}

void LatencyModel::Regression::learn(const LatencyFeatures& features, double y) {
  if (!std::isfinite(y) || y <= 0) {
    return;
  }
  const double predicted = predict(features);
  if (samples >= kWarmUp) {
    constexpr double kPart = 0.01;
    error += kPart * (std::abs(predicted - y) / y - error);
  }
  ++samples;
  // Relative errors: every row is divided by its y.
  std::array<double, kSize> x;
  for (std::size_t i = 0; i < kSize; ++i) {
    x[i] = features.values[i] / y;
  }
  std::array<double, kSize> px{};
  double xpx = 0;
  for (std::size_t i = 0; i < kSize; ++i) {
    for (std::size_t j = 0; j < kSize; ++j) {
      px[i] += p[i][j] * x[j];
    }
    xpx += x[i] * px[i];
  }
  const double scale = 1 / (kForgetting + xpx);
  const double residual = 1 - predicted / y;
  double trace = 0;
  for (std::size_t i = 0; i < kSize; ++i) {
    w[i] += px[i] * scale * residual;
    for (std::size_t j = 0; j < kSize; ++j) {
      p[i][j] = (p[i][j] - px[i] * px[j] * scale) / kForgetting;
    }
    trace = std::max(trace, p[i][i]);
  }
  if (!(trace < kMostP)) {
    for (std::size_t i = 0; i < kSize; ++i) {
      p[i].fill(0);
      p[i][i] = kPrior;
    }
  }
}

std::optional<LatencyModel::Prediction> LatencyModel::predict(const LatencyFeatures& features) const {
  const std::lock_guard lock(mutex_);
  if (ttft_.samples < kWarmUp) {
    return std::nullopt;
  }
  return Prediction{std::max(ttft_.predict(features), 0.0),
                    tpot_.samples < kWarmUp ? 0.0 : std::max(tpot_.predict(features), 0.0)};
}

void LatencyModel::learn_ttft(const LatencyFeatures& features, double ms) {
  const std::lock_guard lock(mutex_);
  ttft_.learn(features, ms);
}

void LatencyModel::learn_tpot(const LatencyFeatures& features, double ms) {
  const std::lock_guard lock(mutex_);
  tpot_.learn(features, ms);
}

json::Value LatencyModel::state() const {
  const std::lock_guard lock(mutex_);
  return json::Value{{"ttftSamples", ttft_.samples},
                     {"ttftMeanAbsolutePercentageError", 100 * ttft_.error},
                     {"tpotSamples", tpot_.samples},
                     {"tpotMeanAbsolutePercentageError", 100 * tpot_.error}};
}

}  // namespace llmd::picker
