// PluginTimes: how long each plugin of a plan takes, as llm-d counts it: by extension point. Reading the
// clock around every plugin would cost more than most plugins, so one decision of sixteen is measured and
// counts sixteen times. Any thread. Private to picker.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "metrics/metric.h"
#include "picker/metrics/page.h"

namespace llmd::picker {

class Parser;
class Plugin;
struct Plan;

class PluginTimes {
 public:
  explicit PluginTimes(const Plan& plan);
  ~PluginTimes();

  static constexpr std::uint64_t kEvery = 16;
  // The weight of this decision's times: 0, not to be measured.
  static std::uint64_t weight_of(std::uint64_t sequence) {
    return sequence % kEvery != 0 ? 0 : sequence == 0 ? 1 : kEvery;
  }

  enum class Point {
    Screener,
    DataProducer,
    Admission,
    ProfilePicker,
    Filter,
    Scorer,
    Picker,
    PreRequest,
    ResponseReceived,
    ResponseStreaming,
    RequestParsing,
    ResponseParsing,
  };
  // A parser of the configuration read a body; without one for the path nobody did. `point` is one of the
  // last two.
  void parsed(Point point, std::string_view path, Duration took, std::uint64_t weight) const;
  void add(Point point, const Plugin& plugin, Duration took, std::uint64_t weight) const;
  void write(Page& page) const;

 private:
  struct Slot;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<const Parser*> parsers_;
};

// Measures the plugins that run one after another; does nothing when the decision is not to be measured.
class Stopwatch {
 public:
  Stopwatch(const PluginTimes* times, std::uint64_t weight)
      : times_(weight > 0 ? times : nullptr), weight_(weight) {
    restart();
  }
  void restart() {
    if (times_ != nullptr) {
      last_ = std::chrono::steady_clock::now();
    }
  }
  // The plugin ran since the last lap.
  void lap(PluginTimes::Point point, const Plugin& plugin) {
    if (times_ != nullptr) {
      const TimePoint now = std::chrono::steady_clock::now();
      times_->add(point, plugin, now - last_, weight_);
      last_ = now;
    }
  }
  // The time since the last lap; for time that is added up.
  Duration split() {
    if (times_ == nullptr) {
      return Duration::zero();
    }
    const TimePoint before = last_;
    last_ = std::chrono::steady_clock::now();
    return last_ - before;
  }
  std::uint64_t weight() const { return times_ != nullptr ? weight_ : 0; }

 private:
  const PluginTimes* times_;
  std::uint64_t weight_;
  TimePoint last_;
};

}  // namespace llmd::picker
