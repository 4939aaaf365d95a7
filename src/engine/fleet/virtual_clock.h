// Time that passes when somebody says so.
#pragma once

#include <algorithm>

#include "base/clock.h"

namespace llmd::engine::fleet {

class VirtualClock final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  WallTime wall_now() const override {
    return WallTime() + std::chrono::duration_cast<WallTime::duration>(now_.time_since_epoch());
  }
  void advance_to(TimePoint time) { now_ = std::max(now_, time); }

 private:
  // Long after the epoch, which means "never" in places, and after any machine's own clock, so that nothing
  // that still looks at that one finds it late.
  TimePoint now_ = TimePoint() + std::chrono::hours(24 * 365 * 50);
};

}  // namespace llmd::engine::fleet
