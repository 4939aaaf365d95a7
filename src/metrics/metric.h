// Counter, Gauge, Histogram: the numbers themselves. Any thread may change and read them at any time without
// locks; a reader sees every number that was added before it looked, though not several metrics at one
// instant.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace llmd::metrics {

// Only grows.
class Counter {
 public:
  void add(double amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// Counts observations per bucket. Bounds are upper, inclusive and rising; the bucket above the last is
// implied.
class Histogram {
 public:
  explicit Histogram(std::span<const double> bounds);

  void observe(double value);

  struct Snapshot {
    std::vector<std::uint64_t> cumulative;  // one per bound and one for +Inf, which is the count
    double sum = 0;
    std::uint64_t count() const { return cumulative.back(); }
  };
  Snapshot snapshot() const;
  std::span<const double> bounds() const { return bounds_; }

 private:
  const std::vector<double> bounds_;
  const std::unique_ptr<std::atomic<std::uint64_t>[]> buckets_;
  std::atomic<double> sum_{0};
};

// start, start*factor, start*factor², …: `count` bounds.
std::vector<double> exponential_bounds(double start, double factor, int count);
// 1 ms to about a minute in steps of 1-2-5: request and step durations in seconds.
std::span<const double> latency_bounds();

}  // namespace llmd::metrics
