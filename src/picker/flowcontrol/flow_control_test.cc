// Who waits, who goes first, and who is told to come back.
#include "picker/flowcontrol/flow_control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/scope.h"
#include "picker/flowcontrol/testing_queue.h"
#include "picker/picker.h"

namespace llmd::picker {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;

TEST(FlowQueueTest, HigherPrioritiesGoFirstAndUnknownOnesWaitInBandZero) {
  Queue flow("priorityBands: [{priority: 10}, {priority: -5}]");
  flow.add("low", -5);
  flow.add("usual", 0);
  flow.add("unknown", 3);
  flow.add("high", 10);
  flow.dispatch_all();
  EXPECT_THAT(flow.settled, ElementsAre("high", "usual", "unknown", "low"));
}

TEST(FlowQueueTest, NobodyGoesWhileThePoolIsFull) {
  Queue flow("");
  flow.add("a", 0);
  flow.dispatch_all(1.0);
  EXPECT_TRUE(flow.settled.empty());
  flow.dispatch_all(0.99);
  EXPECT_THAT(flow.settled, ElementsAre("a"));
}

TEST(FlowQueueTest, FlowsTakeTurnsWhenThePolicySaysSo) {
  Queue flow("defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy}");
  for (const char* name : {"a1", "a2", "a3", "b1"}) {
    flow.add(name, 0, std::string(1, name[0]));
  }
  flow.dispatch_all();
  EXPECT_THAT(flow.settled, ElementsAre("a1", "b1", "a2", "a3"));
}

TEST(FlowQueueTest, WithoutFairnessArrivalDecides) {
  Queue flow("");
  for (const char* name : {"a1", "a2", "b1", "a3"}) {
    flow.add(name, 0, std::string(1, name[0]));
  }
  flow.dispatch_all();
  EXPECT_THAT(flow.settled, ElementsAre("a1", "a2", "b1", "a3"));
}

TEST(FlowQueueTest, ObjectivesOrderByDeadline) {
  Queue flow("defaultPriorityBand: {orderingPolicyRef: slo-deadline-ordering-policy}");
  flow.add("none", 0);
  flow.slo = 500;
  flow.add("late", 0);
  flow.slo = 100;
  flow.add("early", 0);
  flow.dispatch_all();
  EXPECT_THAT(flow.settled, ElementsAre("early", "late", "none"));
}

TEST(FlowQueueTest, AFullQueueRefusesAllButCriticalRequests) {
  Queue flow("maxRequests: 2, priorityBands: [{priority: 10}, {priority: -5}]");
  EXPECT_EQ(flow.add("usual", 0), "");
  EXPECT_EQ(flow.add("low", -5), "");
  EXPECT_EQ(flow.add("another", 0), "rejected-saturated");
  EXPECT_EQ(flow.add("critical", 10), "") << "displaces the low one";
  EXPECT_EQ(flow.add("critical too", 10), "") << "displaces the usual one";
  EXPECT_EQ(flow.add("critical three", 10), "") << "exceeds the limit";
  EXPECT_THAT(flow.settled, ElementsAre("low evicted-queue-pressure", "usual evicted-queue-pressure"));
  flow.dispatch_all();
  EXPECT_THAT(flow.settled, testing::Contains("critical three"));
}

TEST(FlowQueueTest, BytesCountPerBand) {
  Queue flow("priorityBands: [{priority: 0, maxBytes: 100}]");
  EXPECT_EQ(flow.add("a", 0, "f", 60), "");
  EXPECT_EQ(flow.add("b", 0, "f", 60), "rejected-saturated");
}

TEST(FlowQueueTest, WaitingEndsAtTheTimeToLiveButNotForCriticalRequests) {
  Queue flow("defaultRequestTTL: 10s, noEndpointRequestTTL: 30s, priorityBands: [{priority: 10}]");
  flow.add("usual", 0);
  flow.add("critical", 10);
  flow.now += std::chrono::seconds(9);
  flow.queue.expire(flow.now);
  EXPECT_TRUE(flow.settled.empty());
  flow.queue.pool_changed(true, flow.now);
  flow.now += std::chrono::seconds(29);
  flow.queue.expire(flow.now);
  EXPECT_TRUE(flow.settled.empty()) << "the other limit counts since the pool is empty";
  flow.now += std::chrono::seconds(2);
  flow.queue.expire(flow.now);
  EXPECT_THAT(flow.settled, ElementsAre("usual rejected-no-endpoints"));
}

TEST(FlowQueueTest, CeilingsHoldLowerPrioritiesBack) {
  Queue flow("usageLimitPolicyPluginRef: hold, priorityBands: [{priority: 10}, {priority: -5}]",
             "{type: priority-holdback-policy, name: hold, parameters: {minCeiling: 0.2}}");
  flow.add("high", 10);
  flow.add("low", -5);
  flow.dispatch_all(0.5);
  EXPECT_THAT(flow.settled, ElementsAre("high"));
  flow.dispatch_all(0.1);
  EXPECT_THAT(flow.settled, ElementsAre("high", "low"));
}

TEST(FlowQueueTest, TheProgramThatGotTheLeastGoesFirst) {
  Queue flow("defaultPriorityBand: {fairnessPolicyRef: program-aware-fairness}",
             "{type: program-aware-fairness}");
  Decision served;
  served.memory.fairness_id = "rich";
  const auto* policy = flow.plan->find_as<RequestHook>("program-aware-fairness");
  policy->completed(served, {.usage = {.prompt_tokens = 1000, .completion_tokens = 1000}});
  flow.add("r", 0, "rich");
  flow.add("p", 0, "poor");
  flow.dispatch_all();
  EXPECT_THAT(flow.settled, ElementsAre("p", "r"));
}

// One endpoint that may serve one request at a time.
std::unique_ptr<Picker> narrow(std::string_view flow = "") {
  auto picker = Picker::from_config(
      fmt::format("featureGates: [flowControl]\nplugins: [{{type: concurrency-detector, parameters: "
                  "{{maxConcurrency: 1}}}}]\nflowControl: {{saturationDetector: {{pluginRef: "
                  "concurrency-detector}}{}}}\n",
                  flow),
      "narrow");
  EXPECT_TRUE(picker) << picker.error().text();
  (*picker)->update({{.address = {"10.0.0.1", 1}, .name = "only"}});
  return std::move(*picker);
}

TEST(FlowControlTest, TheNextRequestGoesWhenOneEnds) {
  async::EventLoop loop;
  const auto picker = narrow();
  std::vector<std::string> order;
  const auto serve = [&](std::string name) -> Task<void> {
    auto decision = co_await picker->decide({.model = "m"}, async::Deadline::never());
    EXPECT_TRUE(decision);
    order.push_back(name + " begins");
    co_await async::sleep(milliseconds(5));
    EXPECT_EQ(picker->endpoints()->running(), 1);
    order.push_back(name + " ends");
  };
  const auto all = [&]() -> Task<void> {
    co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
      scope.spawn("one", serve("one"));
      scope.spawn("two", serve("two"));
      scope.spawn("three", serve("three"));
      co_await scope.join();
    });
  };
  loop.block_on(all());
  EXPECT_THAT(order,
              ElementsAre("one begins", "one ends", "two begins", "two ends", "three begins", "three ends"));
  EXPECT_EQ(picker->endpoints()->running(), 0);
}

TEST(FlowControlTest, RequestsWaitForAnEmptyPoolToFill) {
  async::EventLoop loop;
  const auto picker = narrow();
  picker->update({});
  const auto both = [&]() -> Task<void> {
    co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
      scope.spawn("update", [](Picker& pool) -> Task<void> {
        co_await async::sleep(milliseconds(5));
        pool.update({{.address = {"10.0.0.2", 1}, .name = "late"}});
      }(*picker));
      auto decision = co_await picker->decide({.model = "m"}, async::Deadline::never());
      EXPECT_EQ(decision ? decision->endpoint().name : decision.error().message, "late");
    });
  };
  loop.block_on(both());
}

TEST(FlowControlTest, LateRequestsAndThoseOfAStoppedPickerAreTold) {
  async::EventLoop loop;
  const auto picker = narrow(", defaultRequestTTL: 20ms");
  const auto held = picker->pick({.model = "m"}).value();
  const auto decide = [&](async::Deadline deadline) -> Task<Rejection> {
    auto decision = co_await picker->decide({.model = "m"}, deadline);
    co_return decision ? Rejection{} : decision.error();
  };
  const Rejection late = loop.block_on(decide(async::Deadline::never()));
  EXPECT_EQ(late.status, 429);
  EXPECT_EQ(late.reason, "rejected-ttl-expired");
  EXPECT_EQ(loop.block_on(decide(async::Deadline::after(milliseconds(1)))).status, 503);
  picker->shut_down();
  EXPECT_EQ(loop.block_on(decide(async::Deadline::never())).reason, "rejected-shutting-down");
}

TEST(FlowControlTest, AClientThatLeavesGivesItsPlaceBack) {
  async::EventLoop loop;
  const auto picker = narrow();
  auto held = std::make_unique<Decision>(picker->pick({.model = "m"}).value());
  const auto wait = [&]() -> Task<void> {
    co_await picker->decide({.model = "m"}, async::Deadline::never());
  };
  const auto leave = [&]() -> Task<void> {
    co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
      scope.spawn("client", wait());
      co_await async::sleep(milliseconds(2));
    });
    held.reset();
    auto decision = co_await picker->decide({.model = "m"}, async::Deadline::after(std::chrono::seconds(5)));
    EXPECT_TRUE(decision);
  };
  loop.block_on(leave());
}

}  // namespace
}  // namespace llmd::picker
