// The dynamics of evictions on simulated time: a pool that batch requests keep full, urgent and critical ones
// that want in, victims that come back a second after they were sent away.
//
//   load       two endpoints of five places; batch requests of priority -1 and -2 that run for 20 s, more
//   than
//              fit; one of priority 0 every 2 s, for 2 s; one of priority 5 every 5 s, for 1 s
//   victims    end some time after they were asked, and are back a second later
//   claims     the lowest priority goes first, of these the newest; nobody goes whose place is not wanted by
//              somebody above; victims do not get in while somebody above waits; 0 and above are never asked;
//              nobody above waits for longer than it takes victims to end
#include <gtest/gtest.h>

#include "picker/flowcontrol/testing_simulation.h"

namespace llmd::picker {
namespace {

using Client = Simulation::Client;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kStep = milliseconds(100);
constexpr Duration kBack = seconds(1);  // until a victim returns

class Dynamics {
 public:
  Dynamics(bool evicts, Duration lag)
      : lag_(lag),
        sim_(5, std::string(evicts ? "enableEviction: true, " : "") +
                    "priorityBands: [{priority: 5}, {priority: -1}, {priority: -2}]") {
    sim_.picker->update(
        {{.address = {"10.0.0.1", 1}, .name = "a"}, {.address = {"10.0.0.2", 1}, .name = "b"}});
    sim_.on_asked = [this](const Client& victim) { asked(victim); };
    sim_.on_served = [this](const Client& client) { served(client); };
  }

  void run(Duration duration) {
    sim_.run([this, duration]() -> Task<void> {
      for (int i = 0; i < 14; ++i) {
        sim_.arrives(i % 2 == 0 ? -1 : -2);
        co_await sim_.settles();
      }
      const TimePoint begin = sim_.clock.now();
      while (sim_.clock.now() - begin < duration) {
        ends_and_returns();
        co_await sim_.settles();
        co_await arrivals(sim_.clock.now() - begin);
        sim_.passes(kStep);
        co_await sim_.settles();
      }
      for (Client* client : sim_.all(&Client::runs)) {
        sim_.finishes(*client);
      }
      sim_.picker->shut_down();
      co_await sim_.settles();
    });
  }

  int evictions = 0;
  int wanted = 0;           // requests that waited and got in before somebody of a lower priority
  Duration longest_wait{};  // of priority 0 and above

 private:
  Task<void> arrivals(Duration since) {
    if (since % seconds(1) == Duration::zero()) {
      sim_.arrives(since % seconds(2) == Duration::zero() ? -1 : -2);
      co_await sim_.settles();
    }
    if (since % seconds(2) == Duration::zero()) {
      sim_.arrives(0);
      co_await sim_.settles();
    }
    if (since % seconds(5) == Duration::zero()) {
      sim_.arrives(5);
      co_await sim_.settles();
    }
  }
  void ends_and_returns() {
    const TimePoint now = sim_.clock.now();
    for (Client* client : sim_.all(&Client::runs)) {
      const Duration service = client->priority == 5   ? seconds(1)
                               : client->priority == 0 ? seconds(2)
                                                       : seconds(20);
      if (client->asked ? now - client->asked_at >= lag_ : now - client->began >= service) {
        if (client->asked) {
          back_at_.emplace_back(now + kBack, client->priority);
        }
        sim_.finishes(*client);
      }
    }
    for (const auto& [at, priority] : back_at_) {
      if (at <= now) {
        sim_.arrives(priority);
      }
    }
    std::erase_if(back_at_, [now](const auto& entry) { return entry.first <= now; });
  }

  int highest_waiting() const {
    int highest = -100;
    for (const Client* client : sim_.all(&Client::waits)) {
      highest = std::max(highest, client->priority);
    }
    return highest;
  }
  void asked(const Client& victim) {
    ++evictions;
    EXPECT_LT(victim.priority, 0) << "only what may be shed is asked";
    EXPECT_FALSE(victim.asked) << "asked twice";
    EXPECT_GT(highest_waiting(), victim.priority) << "nobody wants the place";
    for (const Client* other : sim_.all(&Client::runs)) {
      if (!other->asked && other != &victim) {
        EXPECT_GE(other->priority, victim.priority) << "a lower one runs";
        EXPECT_TRUE(other->priority > victim.priority || other->turn < victim.turn) << "a newer one runs";
      }
    }
  }
  void served(const Client& client) {
    const Duration waited = sim_.clock.now() - client.arrived;
    EXPECT_LE(highest_waiting(), client.priority) << "served while somebody above waits";
    wanted += client.priority > -2 && waited > Duration::zero() ? 1 : 0;
    if (client.priority >= 0) {
      longest_wait = std::max(longest_wait, waited);
    }
  }

  const Duration lag_;
  std::vector<std::pair<TimePoint, int>> back_at_;
  Simulation sim_;
};

TEST(EvictionDynamics, LowestAndNewestFirstOnlyForSomebodyAboveAndNotInVain) {
  for (const Duration lag : {Duration(milliseconds(0)), Duration(milliseconds(300)), Duration(seconds(4))}) {
    SCOPED_TRACE(std::chrono::duration_cast<milliseconds>(lag).count());
    Dynamics dynamics(true, lag);
    dynamics.run(seconds(120));
    EXPECT_GT(dynamics.evictions, 10);
    EXPECT_LE(dynamics.evictions, dynamics.wanted) << "more places were taken than were wanted";
  }
}

TEST(EvictionDynamics, WhoIsAboveWaitsForVictimsAndNotForTheirWork) {
  Dynamics with(true, milliseconds(300));
  with.run(seconds(120));
  Dynamics without(false, milliseconds(300));
  without.run(seconds(120));
  EXPECT_EQ(without.evictions, 0);
  // Two may want in at the same time: two decisions, each of the time to end and a step to look.
  EXPECT_LE(with.longest_wait, 2 * (milliseconds(300) + 2 * kStep));
  EXPECT_GT(without.longest_wait, with.longest_wait);
}

// A retry that the room was not given to is not asked again: it waits while its place is wanted.
TEST(EvictionDynamics, AVictimThatComesBackAtOnceWaitsInsteadOfBeingAskedAgain) {
  Simulation sim(1, "enableEviction: true, priorityBands: [{priority: 5}, {priority: -1}]");
  sim.run([&]() -> Task<void> {
    Client* batch = &sim.arrives(-1);
    co_await sim.settles();
    for (int i = 0; i < 20; ++i) {
      sim.arrives(5);
      co_await sim.settles();
    }
    EXPECT_TRUE(batch->asked);
    sim.finishes(*batch);
    Client& back = sim.arrives(-1);
    co_await sim.settles();
    for (int served = 0; served < 20; ++served) {
      EXPECT_TRUE(back.waits()) << "after " << served;
      EXPECT_EQ(sim.shown("revocations_issued_total"), 1);
      const auto running = sim.all(&Client::runs);
      EXPECT_EQ(running.size(), 1U);
      EXPECT_EQ(running.front()->priority, 5);
      sim.finishes(*running.front());
      sim.passes(seconds(1));
      co_await sim.settles();
    }
    EXPECT_TRUE(back.runs());
    sim.finishes(back);
  });
}

TEST(EvictionDynamics, NobodyIsAskedWhoseEndpointHasLeft) {
  Simulation sim(1, "enableEviction: true, priorityBands: [{priority: -1}, {priority: -2}]");
  sim.run([&]() -> Task<void> {
    Client& gone = sim.arrives(-2);
    co_await sim.settles();
    sim.picker->update({endpoint("another")});
    Client& there = sim.arrives(-1);
    co_await sim.settles();
    Client& urgent = sim.arrives(0);
    co_await sim.settles();
    EXPECT_FALSE(gone.asked) << "its end makes no room";
    EXPECT_TRUE(there.asked);
    sim.finishes(there);
    co_await sim.settles();
    EXPECT_TRUE(urgent.runs());
    sim.finishes(urgent);
    sim.finishes(gone);
  });
  EXPECT_EQ(sim.shown("revocations_issued_total"), 1);
}

}  // namespace
}  // namespace llmd::picker
