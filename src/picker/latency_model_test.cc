// The latency predictor on an engine whose latency is known.
#include "picker/latency_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace llmd::picker {
namespace {

// Prefill at 12,000 tokens per second after the prompts before, a step per waiting batch, noise of 5 %.
struct Engine {
  std::mt19937 random{1};
  LatencyFeatures::State state() {
    const auto up_to = [this](double most) { return std::uniform_real_distribution(0.0, most)(random); };
    LatencyFeatures::State state;
    state.prompt_tokens = 200 + up_to(12'000);
    state.uncached_tokens = state.prompt_tokens * up_to(1);
    state.waiting = std::floor(up_to(10));
    state.running = std::floor(up_to(60));
    state.kv_usage = up_to(1);
    state.tokens_in_flight = up_to(20'000);
    return state;
  }
  double noise() { return std::normal_distribution(1.0, 0.05)(random); }
  double ttft_ms(const LatencyFeatures::State& s) {
    return (15 + (s.uncached_tokens + s.tokens_in_flight) / 12 + 8 * s.waiting + 0.6 * s.running) * noise();
  }
  double tpot_ms(const LatencyFeatures::State& s) {
    return (9 + 0.25 * s.running + 4 * s.kv_usage) * noise();
  }
};

TEST(LatencyModelTest, PredictsWithinFifteenPercentAfterAThousandRequests) {
  Engine engine;
  LatencyModel model;
  EXPECT_FALSE(model.predict(LatencyFeatures::of(engine.state())));
  for (int i = 0; i < 1000; ++i) {
    const auto state = engine.state();
    model.learn_ttft(LatencyFeatures::of(state), engine.ttft_ms(state));
    model.learn_tpot(LatencyFeatures::of(state), engine.tpot_ms(state));
  }
  double ttft_error = 0;
  double tpot_error = 0;
  constexpr int kTries = 500;
  for (int i = 0; i < kTries; ++i) {
    const auto state = engine.state();
    const auto predicted = model.predict(LatencyFeatures::of(state)).value();
    const double ttft = engine.ttft_ms(state);
    const double tpot = engine.tpot_ms(state);
    ttft_error += std::abs(predicted.ttft_ms - ttft) / ttft / kTries;
    tpot_error += std::abs(predicted.tpot_ms - tpot) / tpot / kTries;
  }
  EXPECT_LT(ttft_error, 0.15);
  EXPECT_LT(tpot_error, 0.15);
}

TEST(LatencyModelTest, FollowsAnEngineThatBecomesSlower) {
  Engine engine;
  LatencyModel model;
  for (int i = 0; i < 4000; ++i) {
    const auto state = engine.state();
    model.learn_ttft(LatencyFeatures::of(state), engine.ttft_ms(state) * (i < 1000 ? 1 : 3));
  }
  const auto state = engine.state();
  const double slow = engine.ttft_ms(state) * 3;
  EXPECT_NEAR(model.predict(LatencyFeatures::of(state))->ttft_ms, slow, slow * 0.3);
}

}  // namespace
}  // namespace llmd::picker
