// Flow control from a request's arrival to its end: saturation, ceilings, evictions and metrics together, by
// a clock that the test moves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/log.h"
#include "metrics/registry.h"
#include "metrics/text_reader.h"
#include "picker/flowcontrol/testing_clients.h"
#include "picker/testing_clock.h"

namespace llmd::picker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

class FlowStory : public testing::Test {
 protected:
  std::optional<double> shown(std::string_view name, metrics::Exposition::Labels labels = {}) {
    return metrics::parse_exposition(registry_.write_text())
        ->value("llm_d_epp_flow_control_" + std::string(name), labels);
  }
  PickerOptions options() { return {.metrics = &registry_, .clock = &clock_}; }

  HandClock clock_;
  metrics::Registry registry_;
};

TEST_F(FlowStory, WhatEnginesReportClosesTheLoopAndOpensIt) {
  auto made = Picker::from_config(
      "featureGates: [flowControl]\nplugins: [{type: utilization-detector, parameters: {queueDepthThreshold: "
      "5}}]\nflowControl: {}\n",
      "flow", options());
  ASSERT_TRUE(made) << made.error().text();
  Clients clients(1);
  clients.picker = std::move(*made);
  clients.picker->update({endpoint("only")});
  const auto report = [&](float waiting) {
    clients.picker->endpoints()->endpoints[0]->report({.waiting = waiting}, clock_.now());
    clients.picker->numbers_changed();
  };
  clients.run([&](async::Scope& scope) -> Task<void> {
    report(5);
    co_await clients.arrives(scope, "a", {});
    co_await clients.arrives(scope, "b", {});
    EXPECT_EQ(clients.waiting(), 2U);
    EXPECT_EQ(shown("pool_saturation"), 1);
    report(4.5);
    co_await clients.until_events(1);
    report(0);
    co_await clients.until_events(2);
    clock_.pass(seconds(1));
    co_await clients.arrives(scope, "c", {});
    EXPECT_EQ(clients.waiting(), 1U) << "old numbers are no sign of room";
    report(0);
    co_await clients.until_events(3);
  });
  EXPECT_THAT(clients.events, ElementsAre("a", "b", "c"));
}

TEST_F(FlowStory, CeilingsKeepRoomForThoseAbove) {
  auto made = Picker::from_config(
      "featureGates: [flowControl]\n"
      "plugins: [{type: concurrency-detector, parameters: {maxConcurrency: 4}}, {type: "
      "priority-holdback-policy, "
      "name: hold, parameters: {minCeiling: 0.5}}]\n"
      "flowControl: {usageLimitPolicyPluginRef: hold, saturationDetector: {pluginRef: concurrency-detector}, "
      "priorityBands: [{priority: 10}]}\n",
      "flow", {.load = {.allow_experimental = true}});
  ASSERT_TRUE(made) << made.error().text();
  Clients clients(1);
  clients.picker = std::move(*made);
  clients.picker->update({endpoint("only")});
  clients.run([&](async::Scope& scope) -> Task<void> {
    for (const char* name : {"low 1", "low 2", "low 3"}) {
      co_await clients.arrives(scope, name, {});
    }
    EXPECT_EQ(clients.waiting(), 1U) << "half of the pool is for band 0";
    co_await clients.arrives(scope, "high 1", {.priority = 10});
    co_await clients.arrives(scope, "high 2", {.priority = 10});
    co_await clients.arrives(scope, "high 3", {.priority = 10});
    EXPECT_EQ(clients.waiting(), 2U) << "the whole pool is for band 10";
    co_await clients.ends("low 1", 5);
    co_await clients.ends("high 1", 5);
    co_await clients.ends("high 2", 5);
    co_await clients.ends("high 3", 6);
  });
  EXPECT_THAT(clients.events, ElementsAre("low 1", "low 2", "high 1", "high 2", "high 3", "low 3"));
}

TEST_F(FlowStory, NobodyPassesABandThatHasToWait) {
  Clients clients(2, "priorityBands: [{priority: 10}, {priority: -5}]");
  clients.run([&](async::Scope& scope) -> Task<void> {
    co_await clients.arrives(scope, "first", {});
    co_await clients.arrives(scope, "second", {});
    co_await clients.arrives(scope, "high", {.priority = 10});
    co_await clients.arrives(scope, "low", {.priority = -5});
    co_await clients.ends("first", 3);
    EXPECT_THAT(clients.events, ElementsAre("first", "second", "high"));
    co_await clients.ends("second", 4);
  });
  EXPECT_THAT(clients.events, ElementsAre("first", "second", "high", "low"));
}

// What an owner does when flow control wants the room back.
void shed(Clients& clients, const std::string& name) {
  clients.served.at(name).complete({.cause = EndCause::Evicted, .status = 429, .usage = {}});
  clients.served.erase(name);
}

TEST_F(FlowStory, RunningRequestsMakeRoomOneDecisionAtATime) {
  Clients clients(3, "enableEviction: true, priorityBands: [{priority: -1}, {priority: -2}]", options());
  std::vector<std::string> evicted;
  clients.run([&](async::Scope& scope) -> Task<void> {
    const std::pair<const char*, int> running[] = {{"batch", -1}, {"lowest", -2}, {"usual", 0}};
    for (const auto& [name, priority] : running) {
      co_await clients.arrives(scope, name, {.priority = priority});
      clients.served.at(name).on_evicted([&evicted, name] { evicted.emplace_back(name); });
    }
    co_await clients.arrives(scope, "equal", {.priority = -2});
    EXPECT_TRUE(evicted.empty()) << "the lowest band takes from nobody";
    co_await clients.arrives(scope, "urgent", {});
    EXPECT_THAT(evicted, ElementsAre("lowest"));
    EXPECT_EQ(shown("pending_reclaim"), 1);
    clients.picker->numbers_changed();
    EXPECT_THAT(evicted, ElementsAre("lowest")) << "its end is waited for";
    shed(clients, "lowest");
    co_await clients.until_events(4);
    EXPECT_EQ(clients.events.back(), "urgent");
    EXPECT_EQ(shown("pending_reclaim"), 0);
    co_await clients.arrives(scope, "urgent too", {});
    EXPECT_THAT(evicted, ElementsAre("lowest")) << "numbers need their time";
    clock_.pass(milliseconds(10));
    clients.picker->numbers_changed();
    EXPECT_THAT(evicted, ElementsAre("lowest", "batch"));
    clock_.pass(seconds(10));
    clients.picker->numbers_changed();
    EXPECT_THAT(evicted, ElementsAre("lowest", "batch")) << "nobody is left who may be shed";
    shed(clients, "batch");
    co_await clients.until_events(5);
    clients.picker->shut_down();
    co_await clients.until_events(6);
    EXPECT_EQ(shown("revocations_issued_total", {{"priority", "-1"}}), 1);
    EXPECT_EQ(shown("revocations_total", {{"outcome", "timed_out"}}), 1);
    EXPECT_EQ(shown("revocations_total", {{"outcome", "confirmed"}}), 1);
  });
  EXPECT_THAT(clients.events, ElementsAre("batch", "lowest", "usual", "urgent", "urgent too",
                                          "equal 503 rejected-shutting-down"));
}

TEST_F(FlowStory, EveryOutcomeHasItsName) {
  Clients clients(1, "maxRequests: 1, defaultRequestTTL: 10s", options());
  clients.run([&](async::Scope& scope) -> Task<void> {
    co_await clients.arrives(scope, "first", {});
    co_await clients.arrives(scope, "expires", {});
    co_await clients.arrives(scope, "full", {});
    clock_.pass(seconds(10));
    clients.picker->numbers_changed();
    co_await clients.until_events(3);
    co_await async::with_scope(clients.loop.executor(), [&](async::Scope& client) -> Task<void> {
      co_await clients.arrives(client, "leaves", {});
    });
    co_await clients.arrives(scope, "usual", {.priority = -1});
    co_await clients.arrives(scope, "critical", {.priority = 5});
    co_await clients.until_events(4);
    clients.picker->shut_down();
    co_await clients.until_events(5);
    co_await clients.arrives(scope, "late", {});
  });
  const auto count = [&](std::string_view outcome) {
    return shown("requests_total", {{"outcome", outcome}, {"priority", "0"}});
  };
  EXPECT_EQ(count("Dispatched"), 1);
  EXPECT_EQ(count("RejectedCapacity"), 1);
  EXPECT_EQ(count("EvictedTTL"), 1);
  EXPECT_EQ(count("EvictedContextCancelled"), 1);
  EXPECT_EQ(count("EvictedOther"), 2) << "one displaced by a critical one, which waited when it all stopped";
  EXPECT_EQ(count("RejectedOther"), 1);
  EXPECT_THAT(clients.events, Contains("late 503 rejected-shutting-down"));
}

TEST_F(FlowStory, DroppedRequestsAreSummedUpInTheLog) {
  Clients clients(1, "maxRequests: 1", options());
  std::vector<std::string> lines;
  log::set_sink([&](log::Level, std::string_view line) { lines.emplace_back(line); });
  clients.run([&](async::Scope& scope) -> Task<void> {
    co_await clients.arrives(scope, "first", {});
    co_await clients.arrives(scope, "waits", {});
    for (int i = 0; i < 50; ++i) {
      co_await clients.arrives(scope, "refused", {});
    }
    EXPECT_THAT(lines, ElementsAre(HasSubstr("priority 0 rejected-saturated: 1")));
    clock_.pass(seconds(10));
    clients.picker->numbers_changed();
    EXPECT_THAT(lines, ElementsAre(testing::_, HasSubstr("priority 0 rejected-saturated: 49")));
    clients.picker->shut_down();
  });
  log::set_sink({});
  EXPECT_THAT(lines, Contains(HasSubstr("rejected-shutting-down: 1")));
}

TEST_F(FlowStory, APriorityWithoutABandIsCountedWhereItWaits) {
  Clients clients(1, "priorityBands: [{priority: 10}]", options());
  clients.run([&](async::Scope& scope) -> Task<void> {
    co_await clients.arrives(scope, "first", {});
    co_await clients.arrives(scope, "unknown", {.priority = -7});
    EXPECT_EQ(shown("queue_size", {{"priority", "0"}}), 1);
    co_await clients.ends("first", 2);
  });
  EXPECT_EQ(shown("requests_total", {{"outcome", "Dispatched"}, {"priority", "0"}}), 2);
  EXPECT_EQ(shown("requests_total", {{"priority", "-7"}}), std::nullopt);
}

TEST_F(FlowStory, AnEndpointOfAnOldNameBringsNoOldRequests) {
  Clients clients(1);
  clients.run([&](async::Scope& scope) -> Task<void> {
    co_await clients.arrives(scope, "first", {});
    clients.picker->update({});
    co_await clients.arrives(scope, "second", {});
    clients.picker->update({{.address = {"10.0.0.9", 1}, .name = "only"}});
    co_await clients.until_events(2);
    EXPECT_EQ(clients.picker->endpoints()->running(), 1) << "another address is another engine";
    co_await clients.ends("first", 2);
    EXPECT_EQ(clients.picker->endpoints()->running(), 1);
  });
  EXPECT_THAT(clients.events, ElementsAre("first", "second"));
}

}  // namespace
}  // namespace llmd::picker
