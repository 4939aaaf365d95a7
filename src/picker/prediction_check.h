// PredictionCheck: whether an endpoint's cache is what we think it is. Compares predicted with reported
// cached tokens of finished requests. One per endpoint; any thread.
#pragma once

#include <atomic>
#include <cstdint>

#include "json/value.h"
#include "picker/request.h"

namespace llmd::picker {

class PredictionCheck {
 public:
  enum class Verdict {
    Unknown,    // the engine does not say
    Right,      // within a quarter of the prediction, or both less than two blocks of 64
    TooHigh,    // less was cached
    TooLow,     // more was cached
    LostCache,  // kStrikes times in a row next to nothing of what was predicted: restarted, or wrong hashes
  };
  static constexpr int kStrikes = 4;

  // `predicted` in tokens; below 0: nothing was predicted.
  Verdict compare(std::int64_t predicted, const Usage& usage);
  json::Value state() const;

 private:
  std::atomic<std::uint64_t> right_{0};
  std::atomic<std::uint64_t> too_high_{0};
  std::atomic<std::uint64_t> too_low_{0};
  std::atomic<std::uint64_t> unknown_{0};
  std::atomic<std::uint64_t> healed_{0};
  std::atomic<int> strikes_{0};
  std::atomic<std::int64_t> predicted_tokens_{0};
  std::atomic<std::int64_t> cached_tokens_{0};
};

}  // namespace llmd::picker
