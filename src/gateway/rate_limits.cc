#include "gateway/rate_limits.h"

#include <algorithm>
#include <cmath>

namespace llmd::gateway {
namespace {

constexpr double kMinute = 60;

int seconds_until(double level, double wanted, std::int64_t per_minute) {
  const double seconds = (wanted - level) * kMinute / static_cast<double>(per_minute);
  return std::max(1, static_cast<int>(std::ceil(seconds)));
}

}  // namespace

void RateLimits::Bucket::fill(std::int64_t per_minute, TimePoint now) {
  const auto full = static_cast<double>(per_minute);
  if (filled == TimePoint()) {
    level = full;
  } else {
    const double seconds = std::chrono::duration<double>(now - filled).count();
    level = std::min(full, level + std::max(0.0, seconds) * full / kMinute);
  }
  filled = now;
}

std::expected<RateLimits::Use, LimitReached> RateLimits::begin(TimePoint now) {
  const std::lock_guard lock(mutex_);
  if (options_.concurrency && running_ >= *options_.concurrency) {
    return std::unexpected(LimitReached{"requests at the same time", *options_.concurrency, 1});
  }
  if (options_.tokens_per_minute) {
    tokens_.fill(*options_.tokens_per_minute, now);
    if (tokens_.level <= 0) {
      return std::unexpected(LimitReached{"tokens per minute", *options_.tokens_per_minute,
                                          seconds_until(tokens_.level, 1, *options_.tokens_per_minute)});
    }
  }
  if (options_.requests_per_minute) {
    requests_.fill(*options_.requests_per_minute, now);
    if (requests_.level < 1) {
      return std::unexpected(LimitReached{"requests per minute", *options_.requests_per_minute,
                                          seconds_until(requests_.level, 1, *options_.requests_per_minute)});
    }
    requests_.level -= 1;
  }
  ++running_;
  return Use(this);
}

void RateLimits::spend_tokens(std::int64_t tokens, TimePoint now) {
  if (!options_.tokens_per_minute) {
    return;
  }
  const std::lock_guard lock(mutex_);
  tokens_.fill(*options_.tokens_per_minute, now);
  tokens_.level -= static_cast<double>(tokens);
}

void RateLimits::end() {
  const std::lock_guard lock(mutex_);
  --running_;
}

}  // namespace llmd::gateway
