#include "bench/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace llmd::bench {

// Below 2^kSubBits every value has its own bucket; above, the highest kSubBits+1 bits name it.
std::size_t LatencyHistogram::bucket_of(std::uint64_t nanoseconds) {
  const int width = std::bit_width(nanoseconds);
  if (width <= kSubBits) {
    return static_cast<std::size_t>(nanoseconds);
  }
  const int shift = width - kSubBits - 1;
  const std::uint64_t leading = nanoseconds >> shift;  // 2^kSubBits .. 2^(kSubBits+1)-1
  return (static_cast<std::size_t>(shift) << kSubBits) + static_cast<std::size_t>(leading);
}

std::uint64_t LatencyHistogram::upper_end(std::size_t bucket) {
  constexpr std::size_t kSub = std::size_t{1} << kSubBits;
  if (bucket < 2 * kSub) {
    return bucket;
  }
  const std::size_t shift = (bucket >> kSubBits) - 1;
  const std::uint64_t leading = bucket - (shift << kSubBits);
  return ((leading + 1) << shift) - 1;
}

void LatencyHistogram::record(Duration duration) {
  const auto nanoseconds = static_cast<std::uint64_t>(std::max<long long>(duration.count(), 0));
  ++buckets_[std::min(bucket_of(nanoseconds), kBuckets - 1)];
  ++count_;
  sum_ += static_cast<double>(nanoseconds);
  max_ = std::max(max_, duration);
}

Duration LatencyHistogram::mean() const {
  return count_ == 0 ? Duration::zero()
                     : Duration(static_cast<long long>(sum_ / static_cast<double>(count_)));
}

Duration LatencyHistogram::quantile(double quantile) const {
  const auto wanted = static_cast<std::uint64_t>(std::ceil(quantile * static_cast<double>(count_)));
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < kBuckets && count_ > 0; ++bucket) {
    seen += buckets_[bucket];
    if (seen >= wanted && seen > 0) {
      return std::min(max_, Duration(static_cast<long long>(upper_end(bucket))));
    }
  }
  return max_;
}

}  // namespace llmd::bench
