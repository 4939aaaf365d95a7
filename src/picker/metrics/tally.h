// Numbers that one thread changes and any thread reads: an addition is a load and a store, no locked
// instruction. Private to picker.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <span>

#include "metrics/metric.h"

namespace llmd::picker {

template <typename Number>
class Tally {
 public:
  void add(Number amount) {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  Number value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<Number> value_{0};
};

// Counts values per bucket. `bounds` outlive it.
class Distribution {
 public:
  explicit Distribution(std::span<const double> bounds)
      : bounds_(bounds), buckets_(new Tally<std::uint64_t>[bounds.size() + 1]) {}

  void observe(double value, std::uint64_t times = 1) {
    const auto bucket = std::ranges::lower_bound(bounds_, value) - bounds_.begin();
    buckets_[static_cast<std::size_t>(bucket)].add(times);
    sum_.add(value * static_cast<double>(times));
  }
  // Adds what is counted here to `total`, which is empty or has these bounds.
  void add_to(metrics::Histogram::Snapshot& total) const {
    total.cumulative.resize(bounds_.size() + 1);
    std::uint64_t below = 0;
    for (std::size_t i = 0; i <= bounds_.size(); ++i) {
      below += buckets_[i].value();
      total.cumulative[i] += below;
    }
    total.sum += sum_.value();
  }
  std::span<const double> bounds() const { return bounds_; }

 private:
  const std::span<const double> bounds_;
  const std::unique_ptr<Tally<std::uint64_t>[]> buckets_;
  Tally<double> sum_;
};

}  // namespace llmd::picker
