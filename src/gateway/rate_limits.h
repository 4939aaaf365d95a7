// Limits of one API key: requests and tokens per minute, and requests at the same time. Any thread.
//
// Each rate is a bucket that holds one minute's worth and fills evenly, so that a client may burst and then
// gets its rate. Tokens are known when a request ends: the bucket may go below zero, and the next request
// waits until it is paid back.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"

namespace llmd::gateway {

struct RateLimitOptions {
  std::optional<std::int64_t> requests_per_minute;
  std::optional<std::int64_t> tokens_per_minute;
  std::optional<std::int64_t> concurrency;
};

struct LimitReached {
  std::string what;  // "requests per minute", "tokens per minute", "requests at the same time"
  std::int64_t limit = 0;
  int retry_after = 1;  // seconds
};

class RateLimits {
 public:
  explicit RateLimits(RateLimitOptions options) : options_(options) {}

  // The permission for one request; its end is the request's end.
  class Use {
   public:
    Use() = default;
    explicit Use(RateLimits* limits) : limits_(limits) {}
    Use(Use&& other) noexcept : limits_(std::exchange(other.limits_, nullptr)) {}
    Use& operator=(Use&& other) noexcept {
      std::swap(limits_, other.limits_);
      return *this;
    }
    ~Use() {
      if (limits_ != nullptr) {
        limits_->end();
      }
    }

   private:
    RateLimits* limits_ = nullptr;
  };
  std::expected<Use, LimitReached> begin(TimePoint now);
  void spend_tokens(std::int64_t tokens, TimePoint now);

 private:
  struct Bucket {
    double level = 0;  // what may still be used
    TimePoint filled = {};
    void fill(std::int64_t per_minute, TimePoint now);
  };
  void end();

  const RateLimitOptions options_;
  std::mutex mutex_;
  Bucket requests_;
  Bucket tokens_;
  std::int64_t running_ = 0;
};

}  // namespace llmd::gateway
