#include "picker/prediction_check.h"

#include <algorithm>
#include <cstdlib>

namespace llmd::picker {

PredictionCheck::Verdict PredictionCheck::compare(std::int64_t predicted, const Usage& usage) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  constexpr std::int64_t kBlock = 64;
  if (predicted < 0 || !usage.cached_tokens) {
    unknown_.fetch_add(1, kRelaxed);
    return Verdict::Unknown;
  }
  // What is predicted counts text in fours of bytes; the engine counts its own tokens.
  const std::int64_t prompt = usage.prompt_tokens.value_or(predicted);
  const std::int64_t expected = std::min(predicted, prompt);
  const std::int64_t cached = *usage.cached_tokens;
  predicted_tokens_.fetch_add(expected, kRelaxed);
  cached_tokens_.fetch_add(cached, kRelaxed);
  const std::int64_t tolerance = std::max(2 * kBlock, expected / 4);
  if (std::abs(expected - cached) <= tolerance) {
    right_.fetch_add(1, kRelaxed);
    strikes_.store(0, kRelaxed);
    return Verdict::Right;
  }
  if (cached > expected) {
    too_low_.fetch_add(1, kRelaxed);
    strikes_.store(0, kRelaxed);
    return Verdict::TooLow;
  }
  too_high_.fetch_add(1, kRelaxed);
  if (cached * 4 > expected) {
    strikes_.store(0, kRelaxed);
    return Verdict::TooHigh;
  }
  if (strikes_.fetch_add(1, kRelaxed) + 1 < kStrikes) {
    return Verdict::TooHigh;
  }
  strikes_.store(0, kRelaxed);
  healed_.fetch_add(1, kRelaxed);
  return Verdict::LostCache;
}

json::Value PredictionCheck::state() const {
  return json::Value{{"right", right_.load()},
                     {"tooHigh", too_high_.load()},
                     {"tooLow", too_low_.load()},
                     {"notReported", unknown_.load()},
                     {"healed", healed_.load()},
                     {"predictedTokens", predicted_tokens_.load()},
                     {"cachedTokens", cached_tokens_.load()}};
}

}  // namespace llmd::picker
