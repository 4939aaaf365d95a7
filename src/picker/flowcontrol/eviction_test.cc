// Which running requests are taken back, and when.
#include "picker/flowcontrol/eviction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/event.h"
#include "async/scope.h"
#include "picker/picker.h"

namespace llmd::picker {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;

struct Engines {
  Evictor evictor{milliseconds(500)};
  std::vector<std::unique_ptr<Evictor::Running>> running;
  std::vector<std::string> evicted;
  TimePoint now{std::chrono::hours(1)};

  void run(std::string name, int priority) {
    auto made = std::make_unique<Evictor::Running>();
    made->priority = priority;
    made->number = running.size();
    made->evict = [this, name] { evicted.push_back(name); };
    evictor.add(*made);
    running.push_back(std::move(made));
  }
};

TEST(EvictorTest, TheLowestPriorityGoesFirstAndOfThoseTheNewest) {
  Engines engines;
  engines.run("old", -1);
  engines.run("lowest", -5);
  engines.run("new", -1);
  // Four in flight make 2.0: each 0.5; one too many is two of them.
  EXPECT_EQ(
      engines.evictor.reclaim({.priority = 0, .saturation = 2, .ceiling = 1, .in_flight = 4}, engines.now),
      2);
  EXPECT_THAT(engines.evicted, ElementsAre("lowest", "new"));
}

TEST(EvictorTest, OnlyAHigherPriorityMayTakeRoom) {
  Engines engines;
  engines.run("victim", -1);
  EXPECT_EQ(
      engines.evictor.reclaim({.priority = -1, .saturation = 1, .ceiling = 1, .in_flight = 1}, engines.now),
      0);
  EXPECT_EQ(
      engines.evictor.reclaim({.priority = 0, .saturation = 0.9, .ceiling = 1, .in_flight = 1}, engines.now),
      0);
  EXPECT_EQ(
      engines.evictor.reclaim({.priority = 0, .saturation = 1, .ceiling = 0, .in_flight = 1}, engines.now), 0)
      << "a band that is closed gets no room whatever ends";
  EXPECT_EQ(
      engines.evictor.reclaim({.priority = 0, .saturation = 1, .ceiling = 1, .in_flight = 1}, engines.now),
      1);
}

TEST(EvictorTest, TheNextDecisionWaitsForVictimsAndForNumbers) {
  Engines engines;
  for (const char* name : {"a", "b", "c"}) {
    engines.run(name, -1);
  }
  const Evictor::Demand demand{.priority = 0, .saturation = 1, .ceiling = 1, .in_flight = 3};
  EXPECT_EQ(engines.evictor.reclaim(demand, engines.now), 1);
  EXPECT_EQ(engines.evictor.reclaim(demand, engines.now + std::chrono::seconds(9)), 0) << "it has not ended";
  engines.evictor.remove(*engines.running[2], engines.now + milliseconds(100));
  EXPECT_EQ(engines.evictor.reclaim(demand, engines.now + milliseconds(500)), 0) << "numbers are old";
  EXPECT_EQ(engines.evictor.reclaim(demand, engines.now + milliseconds(700)), 1);
  EXPECT_EQ(engines.evictor.reclaim(demand, engines.now + std::chrono::seconds(11)), 1) << "it had its time";
  EXPECT_THAT(engines.evicted, ElementsAre("c", "b", "a"));
}

TEST(EvictionTest, AWaitingRequestGetsTheRoomOfOneThatMayBeShed) {
  async::EventLoop loop;
  auto made = Picker::from_config(
      "featureGates: [flowControl]\n"
      "plugins: [{type: concurrency-detector, parameters: {maxConcurrency: 1}}]\n"
      "flowControl: {enableEviction: true, priorityBands: [{priority: -1}], "
      "saturationDetector: {pluginRef: concurrency-detector}}\n",
      "evicting");
  ASSERT_TRUE(made) << made.error().text();
  Picker& picker = **made;
  picker.update({{.address = {"10.0.0.1", 1}, .name = "only"}});
  bool told = false;
  const auto batch = [&]() -> Task<void> {
    async::Event evicted(loop.executor());
    {
      auto decision = co_await picker.decide({.model = "m", .priority = -1}, async::Deadline::never());
      EXPECT_TRUE(decision);
      decision->on_evicted([&] { loop.post([&] { evicted.set(); }); });
      co_await evicted.wait();
      told = true;
      decision->complete({.cause = EndCause::Evicted, .status = 429, .usage = {}});
    }
  };
  const auto both = [&]() -> Task<void> {
    co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
      scope.spawn("batch", batch());
      co_await async::sleep(milliseconds(1));
      auto urgent = co_await picker.decide({.model = "m"}, async::Deadline::never());
      EXPECT_TRUE(urgent);
    });
  };
  loop.block_on(both());
  EXPECT_TRUE(told);
  EXPECT_EQ(picker.endpoints()->running(), 0);
}

}  // namespace
}  // namespace llmd::picker
