// Round robin over a long time: whoever always has something waiting gets the same share, whatever others do.
#include <gtest/gtest.h>

#include <random>

#include "picker/flowcontrol/testing_queue.h"

namespace llmd::picker {
namespace {

constexpr const char* kRoundRobin = "defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy}";

int served(const Queue& flow, std::string_view name) {
  return static_cast<int>(std::ranges::count(flow.settled, name));
}

TEST(FairnessDriftTest, FlowsThatAlwaysWaitGetEqualSharesBesideOnesThatComeAndGo) {
  std::mt19937 random(1);
  Queue flow(kRoundRobin);
  // "greedy" always has twenty waiting, "modest" one; "visitor" is there now and then, and may give up.
  for (int i = 0; i < 20; ++i) {
    flow.add("greedy", 0, "greedy");
  }
  flow.add("modest", 0, "modest");
  FlowQueue::Waiting* visitor = nullptr;
  for (int turn = 0; turn < 900; ++turn) {
    const auto what = random() % 4;
    if (what == 0) {
      flow.add("visitor", 0, "visitor");
      visitor = flow.waiting.back().get();
    } else if (what == 1 && visitor != nullptr) {
      flow.queue.remove(*visitor);
    }
    const auto before = flow.settled.size();
    ASSERT_TRUE(flow.queue.dispatch_one(0, flow.now));
    ASSERT_EQ(flow.settled.size(), before + 1);
    if (flow.settled.back() != "visitor") {
      const std::string name = flow.settled.back();
      flow.add(name, 0, name);
    }
    EXPECT_LE(std::abs(served(flow, "greedy") - served(flow, "modest")), 1) << "at turn " << turn;
    EXPECT_LE(served(flow, "visitor"), served(flow, "greedy") + 1) << "at turn " << turn;
  }
}

TEST(FairnessDriftTest, ARefusedOrAbandonedRequestCostsItsFlowNoTurn) {
  Queue flow(kRoundRobin);
  flow.add("a1", 0, "a");
  flow.add("b1", 0, "b");
  flow.add("b2", 0, "b");
  flow.add("c1", 0, "c");
  EXPECT_TRUE(flow.queue.dispatch_one(0, flow.now));  // a1
  flow.queue.remove(*flow.waiting[1]);                // b1 leaves, b2 has its turn
  EXPECT_TRUE(flow.queue.dispatch_one(0, flow.now));
  flow.add("a2", 0, "a");
  flow.dispatch_all();
  EXPECT_EQ(flow.settled, (std::vector<std::string>{"a1", "b2", "c1", "a2"}));
}

}  // namespace
}  // namespace llmd::picker
