// Room that becomes free goes to whoever waits at once, whatever made it free; and a room is given once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "picker/flowcontrol/testing_queue.h"
#include "picker/flowcontrol/testing_simulation.h"

namespace llmd::picker {
namespace {

using Client = Simulation::Client;
using testing::ElementsAre;
using testing::StartsWith;

// So many turns of the loop take far less time than the next look by the clock.
Task<void> turns(int count) {
  for (int i = 0; i < count; ++i) {
    co_await async::sleep(Duration::zero());
  }
}

TEST(FlowWakeupTest, WhoLeavesWhileBeingLetThroughPassesTheRoomOn) {
  Simulation sim(1, "");
  sim.run([&]() -> Task<void> {
    Client& first = sim.arrives(0);
    co_await sim.settles();
    Client& second = sim.arrives(0);
    co_await sim.settles();
    Client& third = sim.arrives(0);
    co_await sim.settles();
    sim.leaves(second);  // both before the second one's task has run again
    sim.finishes(first);
    co_await turns(20);
    EXPECT_EQ(second.ends, 1);
    EXPECT_TRUE(third.runs());
    co_await sim.settles();
    sim.finishes(third);
  });
  EXPECT_EQ(sim.picker->endpoints()->running(), 0);
  EXPECT_EQ(sim.shown("requests_total"), 3);
}

TEST(FlowWakeupTest, WhoFindsNoEndpointPassesTheRoomOn) {
  Clients clients(1);
  const std::string_view nowhere[] = {"10.9.9.9"};
  clients.run([&](async::Scope& scope) -> Task<void> {
    co_await clients.arrives(scope, "first", {});
    co_await clients.arrives(scope, "astray", {.subset = nowhere});
    co_await clients.arrives(scope, "second", {});
    clients.served.at("first").complete({});
    clients.served.erase("first");
    co_await turns(20);
    EXPECT_THAT(clients.events, ElementsAre("first", StartsWith("astray 503"), "second"));
  });
}

TEST(FlowWakeupTest, PromptsOnTheirWayCountWhereTokensAreLimited) {
  auto made = Picker::from_config(
      "featureGates: [flowControl]\nplugins: [{type: concurrency-detector, parameters: {concurrencyMode: "
      "tokens, maxTokenConcurrency: 100}}]\nflowControl: {saturationDetector: {pluginRef: "
      "concurrency-detector}}\n",
      "tokens");
  ASSERT_TRUE(made) << made.error().text();
  Clients clients(1);
  clients.picker = std::move(*made);
  clients.picker->update({endpoint("only")});
  clients.run([&](async::Scope& scope) -> Task<void> {
    for (const char* name : {"first", "second", "third", "fourth"}) {
      co_await clients.arrives(scope, name, {.estimated_tokens = 60});
    }
    EXPECT_THAT(clients.events, ElementsAre("first", "second"));
    clients.served.at("first").complete({});
    clients.served.erase("first");
    co_await turns(20);
    EXPECT_THAT(clients.events, ElementsAre("first", "second", "third")) << "there was room for one";
    clients.picker->shut_down();
  });
}

TEST(FlowWakeupTest, TheCallersDeadlineIsABudgetThatRanOut) {
  metrics::Registry registry;
  const auto picker = with_limit(1, "", {.metrics = &registry});
  const auto held = picker->pick({.model = "m"}).value();
  async::EventLoop loop;
  std::string reason;
  loop.block_on([&]() -> Task<void> {
    auto decided =
        co_await picker->decide({.model = "m"}, async::Deadline::after(std::chrono::milliseconds(1)));
    reason = decided ? "" : decided.error().reason;
  }());
  EXPECT_EQ(reason, "rejected-ttl-expired");
  const auto page = metrics::parse_exposition(registry.write_text());
  EXPECT_EQ(page->sum("llm_d_epp_flow_control_requests_total", {{"outcome", "EvictedTTL"}}), 1);
  EXPECT_EQ(page->sum("llm_d_epp_flow_control_requests_total"), 1);
}

TEST(FlowWakeupTest, WhenTheOneThatWatchesIsServedAnotherWatches) {
  Clients clients(1, "defaultRequestTTL: 1h");
  clients.run([&](async::Scope& scope) -> Task<void> {
    for (const char* name : {"first", "second", "third", "fourth"}) {
      co_await clients.arrives(scope, name, {});
    }
    co_await clients.ends("first", 2);
    co_await clients.ends("second", 3);
    Lease silent(clients.picker->endpoints()->endpoints.front());
    co_await clients.ends("third", 3);
    EXPECT_EQ(clients.waiting(), 1U);
    silent.release();  // nobody tells flow control
    co_await clients.until_events(4);
  });
  EXPECT_THAT(clients.events, ElementsAre("first", "second", "third", "fourth"));
}

// Every second look passes; asking who is blocked is no look.
TEST(FlowWakeupTest, ASoftCeilingCountsLooksAndNothingElse) {
  Queue flow("usageLimitPolicyPluginRef: soft, priorityBands: [{priority: -1}]",
             "{type: soft-reflective-ceiling-policy, name: soft}");
  constexpr double kSaturation = 0.7;
  EXPECT_TRUE(flow.queue.has_room(-1, kSaturation));
  EXPECT_FALSE(flow.queue.has_room(-1, kSaturation));
  flow.add("low", -1);
  for (int round = 0; round < 3; ++round) {
    EXPECT_TRUE(flow.queue.dispatch_one(kSaturation, flow.now)) << round;
    flow.add("low", -1);
    EXPECT_FALSE(flow.queue.dispatch_one(kSaturation, flow.now)) << round;
    ASSERT_TRUE(flow.queue.blocked());
    EXPECT_EQ(flow.queue.blocked()->priority, -1);
    EXPECT_EQ(flow.queue.blocked()->ceiling, 0);
  }
}

}  // namespace
}  // namespace llmd::picker
