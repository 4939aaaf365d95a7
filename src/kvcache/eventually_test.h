// For tests of what other threads do: waiting without sleeping, and a subscriber in a hurry.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string_view>
#include <thread>

#include "kvcache/event_subscriber.h"

namespace llmd::kvcache {

inline constexpr std::string_view kAnyPort = "tcp://127.0.0.1:*";

inline testing::AssertionResult comes_to(const std::function<bool()>& condition) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > give_up) {
      return testing::AssertionFailure() << "not within ten seconds";
    }
    std::this_thread::yield();
  }
  return testing::AssertionSuccess();
}

inline EventSubscriber::Options quick() {
  using std::chrono::milliseconds;
  return {.reconnect_first = milliseconds(10),
          .reconnect_last = milliseconds(50),
          .replay_idle = milliseconds(300),
          .cooldown = milliseconds(0),
          .quiet_check = milliseconds(100)};
}

}  // namespace llmd::kvcache
