// Flow control as its clients see it: requests that wait, are served in turn, give up or are told to go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "metrics/registry.h"
#include "metrics/text_reader.h"
#include "picker/flowcontrol/testing_clients.h"

namespace llmd::picker {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::UnorderedElementsAre;

TEST(FlowLoopTest, PrioritiesGoStrictlyFromHighToLow) {
  Clients clients(1, "priorityBands: [{priority: 10}, {priority: -5}]");
  clients.run([&](async::Scope& scope) -> Task<void> {
    co_await clients.arrives(scope, "first", {.priority = -5});
    for (const auto& [name, priority] :
         {std::pair("low", -5), {"usual", 0}, {"high", 10}, {"high too", 10}}) {
      co_await clients.arrives(scope, name, {.priority = priority});
    }
    std::string last = "first";
    for (std::size_t served = 2; served <= 5; ++served) {
      co_await clients.ends(last, served);
      last = clients.events.back();
    }
  });
  EXPECT_THAT(clients.events, ElementsAre("first", "high", "high too", "usual", "low"));
}

TEST(FlowLoopTest, FlowsShareABandInTurns) {
  Clients clients(1, "defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy}");
  clients.run([&](async::Scope& scope) -> Task<void> {
    co_await clients.arrives(scope, "first", {});
    for (const char* name : {"a1", "a2", "a3", "b1", "c1"}) {
      co_await clients.arrives(scope, name, {.fairness_id = std::string_view(name, 1)});
    }
    std::string last = "first";
    for (std::size_t served = 2; served <= 6; ++served) {
      co_await clients.ends(last, served);
      last = clients.events.back();
    }
  });
  EXPECT_THAT(clients.events, ElementsAre("first", "a1", "b1", "c1", "a2", "a3"));
}

TEST(FlowLoopTest, LimitsOfBandsAndOfAllHold) {
  struct Row {
    const char* limits;
    std::vector<int> priorities;  // of requests that wait, in order
    const char* refused;          // the last of them
  };
  for (const Row& row : {
           Row{"priorityBands: [{priority: 0, maxRequests: 2}]", {0, 0, 0}, "r2 429 rejected-saturated"},
           Row{"priorityBands: [{priority: 0, maxRequests: 1}, {priority: -5}]",
               {0, -5, 0},
               "r2 429 rejected-saturated"},
           Row{"maxRequests: 2, priorityBands: [{priority: -5}]", {0, -5, -5}, "r2 429 rejected-saturated"},
           Row{"maxBytes: 25", {0, 0, 0}, "r2 429 rejected-saturated"},
           Row{"priorityBands: [{priority: 0, maxBytes: 15}]", {0, 0}, "r1 429 rejected-saturated"},
       }) {
    Clients clients(1, row.limits);
    clients.run([&](async::Scope& scope) -> Task<void> {
      co_await clients.arrives(scope, "first", {});
      for (std::size_t i = 0; i < row.priorities.size(); ++i) {
        co_await clients.arrives(scope, fmt::format("r{}", i),
                                 {.priority = row.priorities[i], .body_bytes = 10});
      }
      EXPECT_EQ(clients.events.back(), row.refused) << row.limits;
      clients.picker->shut_down();
    });
  }
}

TEST(FlowLoopTest, AFullQueueBeforeAnEmptyPoolIs503) {
  Clients clients(1, "maxRequests: 1");
  clients.picker->update({});
  clients.run([&](async::Scope& scope) -> Task<void> {
    co_await clients.arrives(scope, "waits", {});
    co_await clients.arrives(scope, "late", {});
    EXPECT_THAT(clients.events, ElementsAre("late 503 rejected-no-endpoints"));
    clients.picker->shut_down();
  });
}

TEST(FlowLoopTest, ShuttingDownTellsEverybodyWhoWaits) {
  Clients clients(1);
  clients.run([&](async::Scope& scope) -> Task<void> {
    for (const char* name : {"first", "a", "b"}) {
      co_await clients.arrives(scope, name, {});
    }
    clients.picker->shut_down();
    co_await clients.until_events(3);
    co_await clients.arrives(scope, "late", {});
  });
  EXPECT_THAT(clients.events,
              UnorderedElementsAre("first", "a 503 rejected-shutting-down", "b 503 rejected-shutting-down",
                                   "late 503 rejected-shutting-down"));
  EXPECT_EQ(clients.picker->endpoints()->running(), 0);
}

TEST(FlowLoopTest, WhoLeavesTheQueueLeavesItsPlaceThere) {
  Clients clients(1, "maxRequests: 1");
  clients.run([&](async::Scope& scope) -> Task<void> {
    co_await clients.arrives(scope, "first", {});
    co_await async::with_scope(clients.loop.executor(), [&](async::Scope& client) -> Task<void> {
      co_await clients.arrives(client, "impatient", {});
    });
    EXPECT_EQ(clients.waiting(), 0U);
    co_await clients.arrives(scope, "next", {});
    EXPECT_EQ(clients.waiting(), 1U);
    co_await clients.ends("first", 2);
  });
  EXPECT_THAT(clients.events, ElementsAre("first", "next"));
}

TEST(FlowLoopTest, AnEndpointThatIsReplacedBringsItsOwnRoom) {
  Clients clients(1);
  clients.run([&](async::Scope& scope) -> Task<void> {
    co_await clients.arrives(scope, "first", {});
    co_await clients.arrives(scope, "second", {});
    clients.picker->update({endpoint("another")});
    co_await clients.until_events(2);
    EXPECT_EQ(clients.picker->endpoints()->running(), 1) << "the first one's is on the endpoint that left";
    clients.picker->update({endpoint("only")});
    co_await clients.arrives(scope, "third", {});
    co_await clients.until_events(3);
  });
  EXPECT_THAT(clients.events, ElementsAre("first", "second", "third"));
}

TEST(FlowLoopTest, WaitingForTheFirstEndpointMayTakeLongerThanWaitingForRoom) {
  Clients clients(1, "defaultRequestTTL: 5ms, noEndpointRequestTTL: 60s");
  clients.picker->update({});
  clients.run([&](async::Scope& scope) -> Task<void> {
    co_await clients.arrives(scope, "early", {});
    co_await async::sleep(milliseconds(250));  // several looks at the queue, far beyond the first limit
    EXPECT_TRUE(clients.events.empty());
    clients.picker->update({endpoint("only")});
    co_await clients.until_events(1);
  });
  EXPECT_THAT(clients.events, ElementsAre("early"));
}

TEST(FlowLoopTest, ObjectivesComeAndGoWithTheirBands) {
  Clients clients(1, "");
  clients.run([&](async::Scope& scope) -> Task<void> {
    const int levels[] = {5, -5};
    clients.picker->set_priorities(levels);
    co_await clients.arrives(scope, "first", {});
    co_await clients.arrives(scope, "usual", {});
    co_await clients.arrives(scope, "high", {.priority = 5});
    clients.picker->set_priorities({});
    EXPECT_EQ(clients.bands(), 2U) << "the band that is used stays";
    co_await clients.ends("first", 2);
    clients.picker->set_priorities({});
    EXPECT_EQ(clients.bands(), 1U);
    co_await clients.ends("high", 3);
  });
  EXPECT_THAT(clients.events, ElementsAre("first", "high", "usual"));
}

TEST(FlowLoopTest, SeriesOfQueuesGoWithTheirRequestsAndCountsStay) {
  metrics::Registry registry;
  Clients clients(1, "", {.metrics = &registry});
  const auto value = [&](std::string_view name, metrics::Exposition::Labels labels) {
    return metrics::parse_exposition(registry.write_text())->value(name, labels);
  };
  clients.run([&](async::Scope& scope) -> Task<void> {
    co_await clients.arrives(scope, "first", {});
    co_await clients.arrives(scope, "waits", {.fairness_id = "tenant"});
    EXPECT_EQ(value("llm_d_epp_flow_control_queue_size", {{"fairness_id", "tenant"}}), 1);
    co_await clients.ends("first", 2);
    EXPECT_EQ(value("llm_d_epp_flow_control_queue_size", {{"fairness_id", "tenant"}}), std::nullopt);
  });
  EXPECT_EQ(value("llm_d_epp_flow_control_requests_total", {{"outcome", "Dispatched"}, {"priority", "0"}}),
            2);
}

TEST(FlowLoopTest, ChangingPoolsAndManyThreadsNeitherHangNorLoseCount) {
  const auto picker = with_limit(3, "defaultRequestTTL: 60s");
  constexpr int kThreads = 4;
  constexpr int kRequests = 200;
  std::atomic<int> served{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&picker, &served] {
      async::EventLoop loop;
      const auto one = [&]() -> Task<void> {
        auto decision = co_await picker->decide({.model = "m"}, async::Deadline::never());
        EXPECT_TRUE(decision);
        ++served;
      };
      loop.block_on([&]() -> Task<void> {
        co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
          for (int i = 0; i < kRequests; ++i) {
            scope.spawn("request", one());
          }
          co_await scope.join();
        });
      }());
    });
  }
  std::thread changes([&] {
    for (int i = 0; !done; ++i) {
      picker->update({endpoint(i % 2 == 0 ? "odd" : "even")});
      std::this_thread::yield();
    }
  });
  for (std::thread& thread : threads) {
    thread.join();
  }
  done = true;
  changes.join();
  EXPECT_EQ(served, kThreads * kRequests);
  EXPECT_EQ(picker->endpoints()->running(), 0);
  EXPECT_EQ(json::int_at(picker->debug_state(), "flowControl.waiting"), 0);
}

}  // namespace
}  // namespace llmd::picker
