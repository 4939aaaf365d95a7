// When to read an answer that comes in many small pieces faster than anybody reads it. Each piece costs a
// read, a write, an acknowledgement and two wake-ups, however small it is: a stream of more than two thousand
// pieces a second is read once per tick, the same for all streams, and what came meanwhile travels together.
// Engines that compute their tokens are never that fast. One answer, one loop. Private to proxy.
#pragma once

#include "base/clock.h"

namespace llmd::proxy {

class Pace {
 public:
  // A piece came after this wait.
  void note(Duration waited, std::size_t bytes) {
    const bool hurries = waited < kHurry && bytes < kLarge;
    hurried_ = hurries ? hurried_ + 1 : 0;
  }
  // Leave the next piece alone until next_tick().
  bool pauses() const { return hurried_ > kBefore; }
  static TimePoint next_tick() {
    const Duration now = std::chrono::steady_clock::now().time_since_epoch();
    return TimePoint((now / kTick + 1) * kTick);
  }

 private:
  static constexpr Duration kTick = std::chrono::milliseconds(8);  // half a frame of a display
  static constexpr Duration kHurry = std::chrono::microseconds(500);
  static constexpr std::size_t kLarge = 48 * 1024;  // nothing is gained by waiting
  static constexpr int kBefore = 8;

  int hurried_ = 0;
};

}  // namespace llmd::proxy
