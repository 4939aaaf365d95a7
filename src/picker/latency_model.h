// LatencyModel: predicts the time to the first token and the time per token of a request from the state of
// the endpoint it would go to, and learns from requests that have ended. Two linear models over products of
// the state's numbers, fitted by recursive least squares that weighs relative errors and forgets slowly (a
// thousand requests), so that it follows a changing engine. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>

#include "json/value.h"

namespace llmd::picker {

struct LatencyFeatures {
  static constexpr std::size_t kCount = 10;
  struct State {
    double prompt_tokens = 0;
    double uncached_tokens = 0;  // of the prompt
    double waiting = 0;          // requests
    double running = 0;          // requests
    double kv_usage = 0;
    double tokens_in_flight = 0;  // prompts before this one, what is left of them
    double encoder_tokens = 0;    // of images, videos and sounds that have to be encoded
  };
  static LatencyFeatures of(const State& state);
  std::array<float, kCount> values{};
};

class LatencyModel {
 public:
  // Predictions begin after this many requests.
  static constexpr std::uint64_t kWarmUp = 20;

  struct Prediction {
    double ttft_ms = 0;
    double tpot_ms = 0;
  };
  std::optional<Prediction> predict(const LatencyFeatures& features) const;
  void learn_ttft(const LatencyFeatures& features, double ms);
  void learn_tpot(const LatencyFeatures& features, double ms);
  json::Value state() const;

 private:
  // y = w·x; P is the inverse of the weighted covariance.
  struct Regression {
    static constexpr std::size_t kSize = LatencyFeatures::kCount;
    Regression();
    double predict(const LatencyFeatures& features) const;
    void learn(const LatencyFeatures& features, double y);
    std::array<double, kSize> w{};
    std::array<std::array<double, kSize>, kSize> p{};
    std::uint64_t samples = 0;
    double error = 0;  // mean absolute relative error, exponentially weighted
  };

  mutable std::mutex mutex_;
  Regression ttft_;
  Regression tpot_;
};

}  // namespace llmd::picker
