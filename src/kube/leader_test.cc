#include "kube/leader.h"

#include <gtest/gtest.h>

#include "async/scope.h"
#include "testing/fake_kube.h"

namespace llmd::kube {
namespace {

using namespace std::chrono_literals;

Object lease(std::string_view holder, std::string_view renewed) {
  return {{"metadata", {{"name", "l"}, {"namespace", "n"}}},
          {"spec", {{"holderIdentity", holder}, {"renewTime", renewed}, {"leaseDurationSeconds", 15}}}};
}

TEST(LeaseWatch, ALeaseThatNobodyHoldsOrWeHoldMayBeTakenAtOnce) {
  LeaseWatch watch;
  EXPECT_TRUE(watch.may_take(lease("", "2026-01-01T00:00:00.000000Z"), "me", TimePoint()));
  EXPECT_TRUE(watch.may_take(lease("me", "2026-01-01T00:00:00.000000Z"), "me", TimePoint()));
}

// Whatever the holder's clock says: it may run an hour behind or ahead of ours.
TEST(LeaseWatch, AnothersLeaseMayBeTakenOnceWeHaveSeenItUnrenewedForItsDuration) {
  for (const char* renewed : {"2020-01-01T00:00:00.000000Z", "2040-01-01T00:00:00.000000Z"}) {
    LeaseWatch watch;
    const TimePoint start = TimePoint() + 1h;
    EXPECT_FALSE(watch.may_take(lease("other", renewed), "me", start));
    EXPECT_FALSE(watch.may_take(lease("other", renewed), "me", start + 15s));
    EXPECT_TRUE(watch.may_take(lease("other", renewed), "me", start + 16s));
  }
}

TEST(LeaseWatch, ARenewalBeginsTheWaitAnew) {
  LeaseWatch watch;
  const TimePoint start = TimePoint() + 1h;
  EXPECT_FALSE(watch.may_take(lease("other", "2026-01-01T00:00:00.000000Z"), "me", start));
  EXPECT_FALSE(watch.may_take(lease("other", "2026-01-01T00:00:01.000000Z"), "me", start + 14s));
  EXPECT_FALSE(watch.may_take(lease("other", "2026-01-01T00:00:01.000000Z"), "me", start + 16s));
  EXPECT_FALSE(watch.may_take(lease("third", "2026-01-01T00:00:01.000000Z"), "me", start + 30s));
}

TEST(Lead, TheFirstLeadsAndTheSecondTakesOverWhatIsGivenUp) {
  async::EventLoop loop;
  testing::FakeKube kube(loop);
  const LeaseOptions first{.key = {"n", "l"}, .identity = "first", .retry = 1ms};
  LeaseOptions second = first;
  second.identity = "second";
  loop.block_on([&]() -> Task<void> {
    async::Event first_leads(loop.executor());
    async::Event second_leads(loop.executor());
    async::Scope winner(loop);
    async::Scope waiting(loop);
    winner.spawn("first", lead(kube, first, [&](bool leads) {
                   EXPECT_TRUE(leads);
                   first_leads.set();
                 }));
    co_await first_leads.wait();
    waiting.spawn("second", lead(kube, second, [&](bool) { second_leads.set(); }));
    co_await kube.settled(loop);
    EXPECT_FALSE(second_leads.is_set());
    co_await winner.close();
    co_await give_up_lead(kube, first);
    co_await second_leads.wait();
    const Object* held = kube.find(kLeases, first.key);
    EXPECT_EQ(find_string(*held, "spec.holderIdentity"), "second");
    EXPECT_EQ(find_int(*held, "spec.leaseTransitions", -1), 1);
    co_await waiting.close();
  }());
}

}  // namespace
}  // namespace llmd::kube
