// A clock that stands until a test moves it.
#pragma once

#include "base/clock.h"

namespace llmd::picker {

class HandClock final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  WallTime wall_now() const override { return WallTime(std::chrono::hours(1)); }
  void pass(Duration duration) { now_ += duration; }

 private:
  TimePoint now_{std::chrono::hours(1)};
};

}  // namespace llmd::picker
