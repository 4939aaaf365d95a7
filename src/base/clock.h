// Time comes in by constructor: production code passes system_clock(), tests pass testing::FakeClock.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace llmd {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::steady_clock::time_point;  // for waiting and measuring
using WallTime = std::chrono::system_clock::time_point;   // for people and API objects

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
  virtual WallTime wall_now() const = 0;
};

const Clock& system_clock();

// RFC 3339 in UTC with whole seconds, as Kubernetes writes it: 2026-01-02T03:04:05Z.
std::string to_rfc3339(WallTime time);
Result<WallTime> parse_rfc3339(std::string_view text);

// Durations as people and Go write them: 300ms, 1.5s, 1h30m; plain numbers are refused.
Result<Duration> parse_duration(std::string_view text);

}  // namespace llmd
