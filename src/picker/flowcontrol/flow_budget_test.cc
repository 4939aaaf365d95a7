// How long requests may wait, by a clock that the test moves: for room, for the first endpoint, and across
// changes between the two.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "picker/flowcontrol/testing_clients.h"
#include "picker/flowcontrol/testing_queue.h"
#include "picker/testing_clock.h"

namespace llmd::picker {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// One request that arrives at second 0, seconds at which the pool empties or fills, and what became of it.
struct Story {
  const char* budgets;
  bool empty_at_first;
  std::vector<int> changes;  // each turns empty into not empty, or back
  int end;                   // the second at which somebody looks
  const char* outcome;       // "" : it still waits
};

TEST(QueueWaitBudget, IsThatOfThePoolsStateAndBeginsAnewWhenThatChanges) {
  constexpr const char* kBoth = "defaultRequestTTL: 10s, noEndpointRequestTTL: 30s";
  for (const Story& story : {
           Story{kBoth, false, {}, 9, ""},
           Story{kBoth, false, {}, 10, "r rejected-ttl-expired"},
           Story{kBoth, true, {}, 29, ""},
           Story{kBoth, true, {}, 30, "r rejected-no-endpoints"},
           Story{kBoth, true, {25}, 34, ""},  // the time without endpoints is not held against it
           Story{kBoth, true, {25}, 35, "r rejected-ttl-expired"},
           Story{kBoth, false, {9}, 38, ""},
           Story{kBoth, false, {9}, 39, "r rejected-no-endpoints"},
           Story{kBoth, false, {5, 8}, 17, ""},  // a short outage gives a whole budget again
           Story{kBoth, false, {5, 8}, 18, "r rejected-ttl-expired"},
           Story{"defaultRequestTTL: 10s", true, {}, 10, "r rejected-no-endpoints"},  // the other's, unset
           Story{"noEndpointRequestTTL: 5s", false, {}, 59, ""},                      // a minute, unset
           Story{"noEndpointRequestTTL: 5s", false, {}, 60, "r rejected-ttl-expired"},
           Story{"defaultRequestTTL: 10s, noEndpointRequestTTL: 0s", true, {}, 100'000, ""},
           Story{
               "defaultRequestTTL: 10s, noEndpointRequestTTL: 0s", true, {50}, 60, "r rejected-ttl-expired"},
           Story{"defaultRequestTTL: 0s, noEndpointRequestTTL: 30s", false, {}, 100'000, ""},
           Story{"defaultRequestTTL: 0s, noEndpointRequestTTL: 30s", true, {}, 30, "r rejected-no-endpoints"},
       }) {
    Queue flow(story.budgets);
    const TimePoint begin = flow.now;
    bool empty = story.empty_at_first;
    flow.queue.pool_changed(empty, flow.now);
    flow.add("r", 0);
    for (const int second : story.changes) {
      flow.now = begin + seconds(second);
      flow.queue.expire(flow.now);
      empty = !empty;
      flow.queue.pool_changed(empty, flow.now);
    }
    flow.now = begin + seconds(story.end);
    flow.queue.expire(flow.now);
    const std::string outcome = flow.settled.empty() ? "" : flow.settled.front();
    EXPECT_EQ(outcome, story.outcome) << story.budgets << " at " << story.end;
  }
}

TEST(QueueWaitBudget, WhoCameLaterWaitsLonger) {
  Queue flow("defaultRequestTTL: 10s");
  flow.add("first", 0);
  flow.now += seconds(6);
  flow.add("second", 0);
  flow.now += seconds(5);
  flow.queue.expire(flow.now);
  EXPECT_THAT(flow.settled, ElementsAre("first rejected-ttl-expired"));
  flow.now += seconds(5);
  flow.queue.expire(flow.now);
  EXPECT_THAT(flow.settled, testing::SizeIs(2));
}

// Lets what is posted to the loop run until so much has happened.
Task<void> pass(Clients& clients, HandClock& clock, Duration duration, std::size_t events) {
  clock.pass(duration);
  clients.picker->numbers_changed();
  co_await clients.until_events(events);
}

TEST(FlowBudgetTest, TheAnswerSaysWhichBudgetRanOut) {
  HandClock clock;
  Clients clients(1, "defaultRequestTTL: 10s, noEndpointRequestTTL: 30s", {.clock = &clock});
  clients.run([&](async::Scope& scope) -> Task<void> {
    co_await clients.arrives(scope, "first", {});
    co_await clients.arrives(scope, "for room", {});
    co_await pass(clients, clock, seconds(10), 2);
    clients.picker->update({});
    co_await clients.arrives(scope, "for an endpoint", {});
    co_await pass(clients, clock, seconds(30), 3);
  });
  EXPECT_THAT(clients.events, ElementsAre("first", "for room 429 rejected-ttl-expired",
                                          "for an endpoint 503 rejected-no-endpoints"));
}

TEST(FlowBudgetTest, ScalingFromZeroMayOutlastTheBudgetOfAFullPool) {
  HandClock clock;
  Clients clients(1, "defaultRequestTTL: 10s, noEndpointRequestTTL: 300s", {.clock = &clock});
  clients.picker->update({});
  clients.run([&](async::Scope& scope) -> Task<void> {
    co_await clients.arrives(scope, "a", {});
    co_await clients.arrives(scope, "b", {});
    co_await pass(clients, clock, seconds(200), 0);
    EXPECT_THAT(clients.events, IsEmpty());
    clients.picker->update({endpoint("late")});
    co_await clients.until_events(1);
    EXPECT_THAT(clients.events, ElementsAre("a")) << "the endpoint has room for one";
    co_await pass(clients, clock, seconds(9), 1);
    EXPECT_EQ(clients.waiting(), 1U) << "b's ten seconds began with the endpoint";
    co_await pass(clients, clock, seconds(1), 2);
  });
  EXPECT_THAT(clients.events, ElementsAre("a", "b 429 rejected-ttl-expired"));
}

TEST(FlowBudgetTest, TheMessageNamesTheTimeThatWasWaited) {
  HandClock clock;
  const auto picker = with_limit(1, "defaultRequestTTL: 2500ms", {.clock = &clock});
  const auto held = picker->pick({.model = "m"}).value();
  async::EventLoop loop;
  std::optional<Rejection> told;
  const auto ask = [&]() -> Task<void> {
    auto decided = co_await picker->decide({.model = "m"}, async::Deadline::never());
    if (!decided) {
      told = decided.error();
    }
  };
  loop.block_on([&]() -> Task<void> {
    co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
      scope.spawn("asks", ask());
      while (json::int_at(picker->debug_state(), "flowControl.waiting") != 1) {
        co_await async::sleep(std::chrono::milliseconds(1));
      }
      clock.pass(seconds(3));
      picker->numbers_changed();
      co_await scope.join();
    });
  }());
  ASSERT_TRUE(told);
  EXPECT_EQ(told->status, 429);
  EXPECT_THAT(told->body(), HasSubstr("ResourceExhausted - request timed out in queue: nothing within 2.5s"));
}

}  // namespace
}  // namespace llmd::picker
