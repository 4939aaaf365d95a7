// Who makes room in a full queue for critical requests, and where requests wait when bands come and go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/path.h"
#include "picker/flowcontrol/testing_queue.h"

namespace llmd::picker {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

TEST(DisplacementTest, NobodyGoesWhenTheCriticalBandIsTheOneThatIsFull) {
  Queue flow("priorityBands: [{priority: 10, maxRequests: 1}, {priority: -5}]");
  flow.add("low", -5);
  flow.add("usual", 0);
  EXPECT_EQ(flow.add("critical", 10), "");
  EXPECT_EQ(flow.add("critical too", 10), "") << "exceeds the limit of its band";
  EXPECT_THAT(flow.settled, IsEmpty()) << "their places are of no use to it";
}

TEST(DisplacementTest, AsManyBytesAsAreNeededAndNoMore) {
  struct Row {
    std::int64_t critical;  // bytes
    std::vector<std::string> displaced;
  };
  for (const Row& row : {
           Row{20, {"c"}}, Row{21, {"c", "b"}}, Row{60, {"c", "b", "a"}},
           Row{61, {}},  // all of them would not be enough
       }) {
    Queue flow("maxBytes: 100, priorityBands: [{priority: 10}, {priority: -5}]");
    flow.add("running for it", 10, "f", 40);
    flow.add("a", -5, "f", 20);
    flow.add("b", -5, "f", 20);
    flow.add("c", 0, "f", 20);
    // The lowest band first: c stands in a higher one.
    std::vector<std::string> expected;
    const char* order[] = {"b", "a", "c"};
    for (std::size_t i = 0; i < row.displaced.size(); ++i) {
      expected.push_back(std::string(order[i]) + " evicted-queue-pressure");
    }
    EXPECT_EQ(flow.add("critical", 10, "f", row.critical), "");
    EXPECT_EQ(flow.settled, expected) << row.critical;
    EXPECT_EQ(flow.queue.displaced(), expected.size());
  }
}

TEST(DisplacementTest, CriticalRequestsNeverMakeRoomNotEvenForMoreCriticalOnes) {
  Queue flow("maxRequests: 1, priorityBands: [{priority: 10}]");
  EXPECT_EQ(flow.add("critical, in band 0", 5), "");
  EXPECT_EQ(flow.add("more critical", 10), "");
  EXPECT_THAT(flow.settled, IsEmpty());
}

TEST(DisplacementTest, ACriticalRequestWithoutABandDisplacesThoseItWaitsWith) {
  Queue flow("defaultPriorityBand: {maxRequests: 2}, priorityBands: [{priority: -5}]");
  flow.add("low", -5);
  flow.add("old", 0);
  flow.add("new", 0);
  EXPECT_EQ(flow.add("critical", 3), "");
  EXPECT_THAT(flow.settled, ElementsAre("new evicted-queue-pressure")) << "the low one is in another band";
}

TEST(RuntimeBandsTest, WhoWaitsMovesWhenItsPriorityGetsABand) {
  Queue flow("priorityBands: [{priority: -1}]");
  flow.add("usual", 0);
  flow.add("high", 5);
  flow.add("high too", 5);
  flow.add("lowest", -9);
  const int levels[] = {5, -9};
  flow.queue.set_priorities(levels);
  flow.add("low", -1);
  flow.add("high later", 5);
  flow.dispatch_all();
  EXPECT_THAT(flow.settled, ElementsAre("high", "high too", "high later", "usual", "low", "lowest"));
}

TEST(RuntimeBandsTest, ABandThatNobodyWantsGoesWhenItIsEmpty) {
  Queue flow("");
  const auto bands = [&flow] {
    const json::Value state = flow.queue.state();
    return json::array_at(state, "bands")->size();
  };
  const int levels[] = {5};
  flow.queue.set_priorities(levels);
  flow.add("high", 5);
  flow.queue.set_priorities({});
  EXPECT_EQ(bands(), 2U);
  flow.dispatch_all();
  flow.queue.drop_unwanted_bands();
  EXPECT_EQ(bands(), 1U);
  EXPECT_EQ(flow.add("high", 5), "") << "waits in band 0";
}

TEST(RuntimeBandsTest, ConfiguredBandsStay) {
  Queue flow("priorityBands: [{priority: 5}]");
  flow.queue.set_priorities({});
  flow.add("usual", 0);
  flow.add("high", 5);
  flow.dispatch_all();
  EXPECT_THAT(flow.settled, ElementsAre("high", "usual"));
}

TEST(QueueWaitBudget, APoolThatFlapsKeepsNobodyForLongerThanBothBudgets) {
  Queue flow("defaultRequestTTL: 10s, noEndpointRequestTTL: 30s");
  const TimePoint begin = flow.now;
  flow.add("r", 0);
  for (bool empty = true; flow.now - begin < seconds(39); empty = !empty) {
    flow.now += seconds(3);
    flow.queue.pool_changed(empty, flow.now);
    flow.queue.expire(flow.now);
    EXPECT_THAT(flow.settled, IsEmpty());
  }
  flow.now = begin + seconds(40);
  flow.queue.expire(flow.now);
  EXPECT_EQ(flow.settled.size(), 1U);
}

TEST(QueueWaitBudget, OfManyThatWaitThoseThatAreLateAreGivenUp) {
  Queue flow("defaultRequestTTL: 10s, priorityBands: [{priority: -1}]");
  for (int i = 0; i < 30; ++i) {
    flow.add(fmt::format("r{}", i), i % 3 == 0 ? 5 : -(i % 2));
    flow.now += seconds(1);
  }
  flow.queue.expire(flow.now);
  EXPECT_EQ(flow.settled.size(), 14U) << "of the first 21, the seven critical ones stay";
  EXPECT_EQ(flow.queue.size(), 16U);
}

TEST(FlowTotalsTest, WhatWaitsIsSummedUpByFlowBandAndModel) {
  Queue flow("priorityBands: [{priority: -1}]");
  flow.add("a", 0, "tenant", 10);
  flow.add("b", 0, "tenant", 20);
  flow.add("c", -1, "tenant", 40);
  flow.add("d", 0, "another", 80);
  std::map<std::pair<std::string, int>, std::pair<std::int64_t, std::int64_t>> sums;
  for (const FlowTotals::Queue& queue : flow.queue.totals().queues) {
    sums[{queue.flow, queue.band}] = {queue.requests, queue.bytes};
  }
  using Sums = decltype(sums);
  EXPECT_EQ(sums, (Sums{{{"tenant", 0}, {2, 30}}, {{"tenant", -1}, {1, 40}}, {{"another", 0}, {1, 80}}}));
}

TEST(FlowTotalsTest, TooManyFlowsAreSummedUpAsOther) {
  Queue flow("priorityBands: [{priority: 0, maxRequests: 1M}]");
  for (std::size_t i = 0; i < FlowTotals::kMostQueues + 5; ++i) {
    flow.add("r", 0, fmt::format("tenant {}", i), 2);
  }
  const FlowTotals totals = flow.queue.totals();
  EXPECT_EQ(totals.queues.size(), FlowTotals::kMostQueues + 1);
  EXPECT_EQ(totals.queues.back().flow, "other");
  EXPECT_EQ(totals.queues.back().requests, 5);
  EXPECT_EQ(totals.queues.back().bytes, 10);
}

}  // namespace
}  // namespace llmd::picker
