#include <gtest/gtest.h>

#include <thread>

#include "async/channel.h"
#include "async/deadline.h"
#include "async/event.h"
#include "async/scope.h"
#include "async/snapshot.h"
#include "async/worker.h"

namespace llmd::async {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Says when the frame that owns it is gone.
struct Leaves {
  bool& gone;
  explicit Leaves(bool& flag) : gone(flag) {}
  Leaves(const Leaves&) = delete;
  ~Leaves() { gone = true; }
};

Task<void> wait_for(Event& event, bool& unwound, bool& passed) {
  const Leaves leaves(unwound);
  co_await event.wait();
  passed = true;
}

TEST(EventLoopTest, GivesTheResultOfATaskThatWaited) {
  EventLoop loop;
  auto task = []() -> Task<int> {
    co_await sleep(milliseconds(1));
    co_return 7;
  };
  EXPECT_EQ(loop.block_on(task()), 7);
}

TEST(EventTest, AWaiterThatWasWokenHasNotMissedItsDeadlineThoughAnotherWokenOneResetsTheEvent) {
  EventLoop loop;
  Event changed(loop.executor());
  int woken = 0;
  const auto waiting = [&]() -> Task<void> {
    changed.reset();
    if (co_await changed.wait_until(Deadline::after(std::chrono::hours(1)))) {
      ++woken;
    }
    changed.reset();
  };
  loop.block_on(with_scope(loop.executor(), [&](Scope& scope) -> Task<void> {
    scope.spawn("one", waiting());
    scope.spawn("other", waiting());
    co_await sleep(milliseconds(0));  // both wait now
    changed.set();
    co_await scope.join();
  }));
  EXPECT_EQ(woken, 2);
}

TEST(EventLoopTest, RunsWhatOtherThreadsPost) {
  EventLoop loop;
  int calls = 0;
  std::thread other([&] {
    loop.post([&] { ++calls; });
    loop.post([&] { loop.stop(); });
  });
  loop.run();
  other.join();
  EXPECT_EQ(calls, 1);
}

TEST(ScopeTest, CloseUnwindsItsTasksAndWaitsForThem) {
  EventLoop loop;
  Event never(loop.executor());
  Scope scope(loop);
  bool unwound = false;
  bool passed = false;
  scope.spawn("waiter", wait_for(never, unwound, passed));
  loop.block_on(sleep(milliseconds(1)));
  EXPECT_EQ(scope.size(), 1U);
  loop.block_on(scope.close());
  EXPECT_TRUE(unwound);
  EXPECT_FALSE(passed);
  EXPECT_EQ(scope.size(), 0U);
}

TEST(ScopeTest, ATaskSpawnedAfterCloseDoesNotRun) {
  EventLoop loop;
  Scope scope(loop);
  loop.block_on(scope.close());
  bool ran = false;
  auto task = [&]() -> Task<void> {
    ran = true;
    co_return;
  };
  scope.spawn("late", task());
  loop.block_on(sleep(milliseconds(1)));
  EXPECT_FALSE(ran);
}

TEST(ScopeTest, CancellationReachesTasksThatHaveNotBegun) {
  EventLoop loop;
  Event never(loop.executor());
  Scope scope(loop);
  bool unwound = false;
  bool passed = false;
  scope.spawn("waiter", wait_for(never, unwound, passed));
  loop.block_on(scope.close());
  EXPECT_FALSE(passed);
}

TEST(ScopeTest, JoinWaitsForAllWithoutCancelling) {
  EventLoop loop;
  Scope scope(loop);
  int done = 0;
  auto task = [&](int time) -> Task<void> {
    co_await sleep(milliseconds(time));
    ++done;
  };
  scope.spawn("a", task(1));
  scope.spawn("b", task(5));
  loop.block_on(scope.join());
  EXPECT_EQ(done, 2);
}

TEST(ScopeTest, AScopeInsideACancelledTaskIsStillClosed) {
  EventLoop loop;
  Event never(loop.executor());
  bool inner_unwound = false;
  bool passed = false;
  Scope outer(loop);
  auto body = [&](Scope& inner) -> Task<void> {
    inner.spawn("inner", wait_for(never, inner_unwound, passed));
    co_await never.wait();
  };
  outer.spawn("outer", with_scope(loop.executor(), body));
  loop.block_on(sleep(milliseconds(1)));
  loop.block_on(outer.close());
  EXPECT_TRUE(inner_unwound);
}

TEST(ScopeDeathTest, ATaskThatThrowsStopsTheProcessWithItsName) {
  EXPECT_DEATH(
      {
        EventLoop loop;
        Scope scope(loop);
        auto task = []() -> Task<void> {
          co_await sleep(milliseconds(1));
          throw std::runtime_error("surprise");
        };
        scope.spawn("broken", task());
        loop.block_on(scope.join());
      },
      "task 'broken' threw: surprise");
}

TEST(DeadlineTest, ExpiryCancelsTheTaskAndNamesWhatWasWaitedFor) {
  EventLoop loop;
  Event never(loop.executor());
  bool unwound = false;
  auto task = [&]() -> Task<Result<int>> {
    const Leaves leaves(unwound);
    co_await never.wait();
    co_return 1;
  };
  const auto result = loop.block_on(with_deadline(Deadline::after(milliseconds(5)), "the oracle", task()));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::DeadlineExceeded);
  EXPECT_TRUE(result.error().message.starts_with("the oracle: no answer within"));
  EXPECT_TRUE(unwound);
}

TEST(DeadlineTest, ATaskThatIsFastEnoughGivesItsResult) {
  EventLoop loop;
  auto task = []() -> Task<Result<int>> {
    co_await sleep(milliseconds(1));
    co_return 1;
  };
  EXPECT_EQ(loop.block_on(with_deadline(Deadline::after(seconds(60)), "x", task())), Result<int>(1));
  EXPECT_EQ(loop.block_on(with_deadline(Deadline::never(), "x", task())), Result<int>(1));
}

TEST(DeadlineTest, CancellingTheParentCancelsTheBoundedTask) {
  EventLoop loop;
  Event never(loop.executor());
  bool unwound = false;
  bool returned = false;
  auto inner = [&]() -> Task<Result<int>> {
    const Leaves leaves(unwound);
    co_await never.wait();
    co_return 1;
  };
  auto outer = [&]() -> Task<void> {
    co_await with_deadline(Deadline::after(seconds(60)), "x", inner());
    returned = true;
  };
  Scope scope(loop);
  scope.spawn("outer", outer());
  loop.block_on(sleep(milliseconds(1)));
  loop.block_on(scope.close());
  EXPECT_TRUE(unwound);
  EXPECT_FALSE(returned);
}

TEST(UnlessTest, TheStopperWinsOverWorkThatWaits) {
  EventLoop loop;
  Event never(loop.executor());
  auto work = [&]() -> Task<int> {
    co_await never.wait();
    co_return 1;
  };
  EXPECT_EQ(loop.block_on(unless(sleep(milliseconds(1)), work())), std::nullopt);
}

TEST(UnlessTest, WorkThatEndsCancelsTheStopper) {
  EventLoop loop;
  Event never(loop.executor());
  bool unwound = false;
  bool passed = false;
  auto work = []() -> Task<int> { co_return 1; };
  EXPECT_EQ(loop.block_on(unless(wait_for(never, unwound, passed), work())), 1);
  EXPECT_FALSE(passed);
}

TEST(EventTest, WakesEveryWaiterAndStaysSet) {
  EventLoop loop;
  Event event(loop.executor());
  Scope scope(loop);
  bool unwound[2] = {};
  bool passed[2] = {};
  scope.spawn("a", wait_for(event, unwound[0], passed[0]));
  scope.spawn("b", wait_for(event, unwound[1], passed[1]));
  loop.block_on(sleep(milliseconds(1)));
  event.set();
  loop.block_on(scope.join());
  EXPECT_TRUE(passed[0] && passed[1]);
  loop.block_on(event.wait());
  EXPECT_TRUE(loop.block_on(event.wait_until(Deadline::after(seconds(60)))));
  event.reset();
  EXPECT_FALSE(loop.block_on(event.wait_until(Deadline::after(milliseconds(1)))));
}

TEST(ChannelTest, HandsValuesOverInOrderAndEndsAfterClose) {
  EventLoop loop;
  Channel<int> channel(loop.executor(), 2);
  Scope scope(loop);
  auto produce = [&]() -> Task<void> {
    for (int i = 0; i < 10; ++i) {
      co_await channel.send(i);
    }
    channel.close();
  };
  scope.spawn("producer", produce());
  auto consume = [&]() -> Task<std::vector<int>> {
    std::vector<int> got;
    while (const auto value = co_await channel.receive()) {
      got.push_back(*value);
    }
    co_return got;
  };
  EXPECT_EQ(loop.block_on(consume()), (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_FALSE(channel.try_send(1));
  loop.block_on(scope.close());
}

TEST(WorkerTest, RunsBlockingCallsOnItsOwnThread) {
  EventLoop loop;
  Worker worker("test");
  const auto here = std::this_thread::get_id();
  auto task = [&]() -> Task<Result<bool>> {
    auto call = [here]() -> Result<bool> { return std::this_thread::get_id() != here; };
    co_return co_await worker.run(call);
  };
  EXPECT_EQ(loop.block_on(task()), Result<bool>(true));
}

TEST(WorkerTest, AFullQueueIsAnError) {
  EventLoop loop;
  Worker worker("test", 0);
  auto task = [&]() -> Task<Result<int>> {
    auto call = []() -> Result<int> { return 1; };
    co_return co_await worker.run(call);
  };
  const auto result = loop.block_on(task());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::ResourceExhausted);
}

TEST(SnapshotTest, ReadersKeepTheVersionTheyTook) {
  Snapshot<int> snapshot(std::make_shared<const int>(1));
  const auto old = snapshot.load();
  snapshot.store(std::make_shared<const int>(2));
  EXPECT_EQ(*old, 1);
  EXPECT_EQ(*snapshot.load(), 2);
}

}  // namespace
}  // namespace llmd::async
