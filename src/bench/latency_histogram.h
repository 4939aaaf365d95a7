// Durations counted in buckets whose width grows with the value: any number of them in 30 KB, percentiles
// right to 1 %. One thread.
#pragma once

#include <array>
#include <cstdint>

#include "base/clock.h"

namespace llmd::bench {

class LatencyHistogram {
 public:
  void record(Duration duration);

  std::uint64_t count() const { return count_; }
  Duration max() const { return max_; }
  Duration mean() const;
  // The smallest duration that `quantile` (0..1) of all do not exceed; zero without any.
  Duration quantile(double quantile) const;

 private:
  static constexpr int kSubBits = 6;  // 64 buckets per power of two
  static constexpr std::size_t kBuckets = std::size_t{64 - kSubBits} << kSubBits;
  static std::size_t bucket_of(std::uint64_t nanoseconds);
  static std::uint64_t upper_end(std::size_t bucket);

  std::array<std::uint64_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0;
  double sum_ = 0;
  Duration max_ = Duration::zero();
};

}  // namespace llmd::bench
