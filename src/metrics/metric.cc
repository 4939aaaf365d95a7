#include "metrics/metric.h"

#include <algorithm>
#include <array>

#include "base/assert.h"

namespace llmd::metrics {

Histogram::Histogram(std::span<const double> bounds)
    : bounds_(bounds.begin(), bounds.end()), buckets_(new std::atomic<std::uint64_t>[bounds.size() + 1] {}) {
  LLMD_ASSERT(std::ranges::is_sorted(bounds_), "the bounds of a histogram rise");
}

void Histogram::observe(double value) {
  const auto bucket = std::ranges::lower_bound(bounds_, value) - bounds_.begin();
  buckets_[static_cast<std::size_t>(bucket)].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

Histogram::Snapshot Histogram::snapshot() const {
  Snapshot snapshot{.sum = sum_.load(std::memory_order_relaxed)};
  snapshot.cumulative.reserve(bounds_.size() + 1);
  std::uint64_t below = 0;
  for (std::size_t i = 0; i <= bounds_.size(); ++i) {
    below += buckets_[i].load(std::memory_order_relaxed);
    snapshot.cumulative.push_back(below);
  }
  return snapshot;
}

std::vector<double> exponential_bounds(double start, double factor, int count) {
  std::vector<double> bounds;
  for (int i = 0; i < count; ++i) {
    bounds.push_back(start);
    start *= factor;
  }
  return bounds;
}

std::span<const double> latency_bounds() {
  static constexpr std::array kBounds{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2,
                                      0.5,   1.0,   2.0,   5.0,  10.0, 20.0, 60.0};
  return kBounds;
}

}  // namespace llmd::metrics
