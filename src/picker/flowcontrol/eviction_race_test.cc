// Evictions from many threads at once: victims are asked, confirm late, end by themselves or lose their
// client, while endpoints come and go. Whatever the order was, in the end nothing is held and the counters
// agree.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "async/event.h"
#include "async/event_loop.h"
#include "async/scope.h"
#include "json/path.h"
#include "metrics/registry.h"
#include "metrics/text_reader.h"
#include "picker/flowcontrol/testing_clients.h"

namespace llmd::picker {
namespace {

using std::chrono::milliseconds;

constexpr int kThreads = 4;
constexpr int kRequests = 150;  // of each thread

// Goes on by a millisecond whenever somebody looks, so that graces and patience end without waiting.
class BusyClock final : public Clock {
 public:
  TimePoint now() const override {
    return TimePoint(std::chrono::hours(1)) + milliseconds(looks_.fetch_add(1, std::memory_order_relaxed));
  }
  WallTime wall_now() const override { return WallTime(std::chrono::hours(1)); }

 private:
  mutable std::atomic<std::int64_t> looks_{0};
};

// What the clients of all threads saw.
struct Seen {
  std::atomic<int> asked{0};
  std::atomic<int> served{0};
  std::atomic<int> refused{0};
  std::atomic<int> left{0};  // their client left while they waited or ran
  std::atomic<int> told{0};  // were asked to end
  std::atomic<int> told_twice{0};
  std::atomic<int> critical_told{0};
};

// What a running request does about its end.
enum class Habit { EndsWhenAsked, EndsLate, EndsByItself, Leaves };

// One client. Counts as one that left until it was served or refused.
class Client {
 public:
  Client(Picker& picker, Seen& seen, Executor executor, int number)
      : picker_(picker), seen_(seen), told_(std::make_shared<async::Event>(executor)), executor_(executor) {
    static constexpr int kPriorities[] = {-1, -2, 0, -1, 5, -2};
    priority_ = kPriorities[number % 6];
    habit_ = static_cast<Habit>(number / 6 % 4);
    ++seen_.asked;
  }
  ~Client() { ++(served_ ? seen_.served : refused_ ? seen_.refused : seen_.left); }
  Client(const Client&) = delete;

  Habit habit() const { return habit_; }

  Task<void> run() {
    auto decision = co_await picker_.decide({.model = "m", .priority = priority_}, async::Deadline::never());
    if (!decision) {
      refused_ = true;
      co_return;
    }
    decision->on_evicted(
        [this, told = std::weak_ptr(told_), executor = executor_] { asked_to_end(told, executor); });
    const auto service = milliseconds(habit_ == Habit::EndsByItself || priority_ >= 0 ? 0 : 10);
    const bool asked = co_await told_->wait_until(async::Deadline::after(service));
    if (asked && habit_ == Habit::EndsLate) {
      co_await async::sleep(milliseconds(1));
    }
    decision->complete({.cause = asked ? EndCause::Evicted : EndCause::Natural, .status = 200, .usage = {}});
    served_ = true;
  }

 private:
  // Under flow control's lock, on any thread. The decision, which this client owns, is there.
  void asked_to_end(const std::weak_ptr<async::Event>& told, Executor executor) {
    ++seen_.told;
    seen_.told_twice += was_told_ ? 1 : 0;
    seen_.critical_told += priority_ >= 0 ? 1 : 0;
    was_told_ = true;
    async::post_to(executor, [told] {
      if (const auto alive = told.lock()) {
        alive->set();
      }
    });
  }

  Picker& picker_;
  Seen& seen_;
  const std::shared_ptr<async::Event> told_;
  const Executor executor_;
  int priority_ = 0;
  Habit habit_ = Habit::EndsWhenAsked;
  bool was_told_ = false;
  bool served_ = false;
  bool refused_ = false;
};

// All clients of one thread: some leave after a moment, whatever they are at.
void run_thread(Picker& picker, Seen& seen, int thread) {
  async::EventLoop loop;
  const auto one = [&](int number) -> Task<void> {
    Client client(picker, seen, loop.executor(), number);
    if (client.habit() == Habit::Leaves) {
      co_await async::with_scope(loop.executor(), [&client](async::Scope& scope) -> Task<void> {
        scope.spawn("client", client.run());
        co_await async::sleep(milliseconds(1));
      });
    } else {
      co_await client.run();
    }
  };
  loop.block_on([&]() -> Task<void> {
    co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
      for (int i = 0; i < kRequests; ++i) {
        scope.spawn("request", one(i + thread));
        if (i % 6 == 0) {
          co_await async::sleep(milliseconds(1));  // the pool fills before those come who want in
        }
      }
      co_await scope.join();
    });
  }());
}

class EvictionRace : public testing::Test {
 protected:
  std::unique_ptr<Picker> narrow(std::string_view flow) {
    return with_limit(4, flow, {.metrics = &registry_, .clock = &clock_});
  }
  // Everything starts and ends while endpoints come and go.
  void run(Picker& picker) {
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&picker, this, t] { run_thread(picker, seen_, t); });
    }
    std::atomic<bool> done{false};
    std::thread changes([&] {
      for (int i = 0; !done; ++i) {
        picker.update(i % 16 == 3  ? std::vector<Endpoint>()
                      : i % 4 == 1 ? std::vector{endpoint("a")}
                                   : std::vector{endpoint("a"), endpoint("b")});
        std::this_thread::sleep_for(milliseconds(2));
      }
      picker.update({endpoint("a"), endpoint("b")});
    });
    for (std::thread& thread : threads) {
      thread.join();
    }
    done = true;
    changes.join();
  }
  double total(std::string_view name) {
    return metrics::parse_exposition(registry_.write_text())
        ->sum("llm_d_epp_flow_control_" + std::string(name));
  }
  void expect_nothing_held(Picker& picker) {
    EXPECT_EQ(json::int_at(picker.debug_state(), "flowControl.waiting"), 0);
    EXPECT_EQ(json::int_at(picker.debug_state(), "flowControl.pending"), 0);
    EXPECT_EQ(picker.endpoints()->running(), 0);
    EXPECT_EQ(total("pending_reclaim"), 0);
  }
  void expect_counters_agree() {
    EXPECT_EQ(seen_.asked, kThreads * kRequests);
    EXPECT_EQ(seen_.asked, seen_.served + seen_.refused + seen_.left);
    EXPECT_EQ(total("requests_total"), seen_.asked) << "every request ended exactly once";
    RecordProperty("told", seen_.told);
    EXPECT_EQ(seen_.told_twice, 0);
    EXPECT_EQ(seen_.critical_told, 0) << "only what may be shed is taken back";
    EXPECT_EQ(total("revocations_issued_total"), seen_.told);
    EXPECT_EQ(total("revocations_total"), seen_.told) << "asked is confirmed or timed out";
  }

  BusyClock clock_;
  metrics::Registry registry_;
  Seen seen_;
};

TEST_F(EvictionRace, WhateverEndsFirstNothingIsLeftAndCountersAgree) {
  const auto picker =
      narrow("enableEviction: true, priorityBands: [{priority: 5}, {priority: -1}, {priority: -2}]");
  run(*picker);
  expect_nothing_held(*picker);
  expect_counters_agree();
}

TEST_F(EvictionRace, BudgetsAndFullQueuesInTheSameStorm) {
  const auto picker = narrow(
      "enableEviction: true, maxRequests: 40, defaultRequestTTL: 400ms, noEndpointRequestTTL: 1s, "
      "priorityBands: [{priority: 5}, {priority: -1, maxRequests: 20}]");
  run(*picker);
  expect_nothing_held(*picker);
  expect_counters_agree();
}

TEST_F(EvictionRace, StoppingInTheMiddleTellsEverybody) {
  const auto picker =
      narrow("enableEviction: true, priorityBands: [{priority: 5}, {priority: -1}, {priority: -2}]");
  std::thread stops([&] {
    while (seen_.asked < kThreads * kRequests / 2) {
      std::this_thread::yield();
    }
    picker->shut_down();
  });
  run(*picker);
  stops.join();
  expect_nothing_held(*picker);
  expect_counters_agree();
}

}  // namespace
}  // namespace llmd::picker
