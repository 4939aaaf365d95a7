// Arrivals, ends, clients that leave, budgets that run out, evictions, bands and endpoints that come and go,
// in random order on simulated time. Whatever happens: every request ends exactly once, and nothing is left.
#include <gtest/gtest.h>

#include <random>

#include "picker/flowcontrol/testing_simulation.h"

namespace llmd::picker {
namespace {

using Client = Simulation::Client;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kLimit = 3;  // of each endpoint

class Storm {
 public:
  Storm(unsigned seed, std::string_view flow) : random_(seed), sim_(kLimit, flow) {
    sim_.on_served = [this](const Client& client) { served(client); };
  }

  void run(int steps) {
    sim_.run([this, steps]() -> Task<void> {
      for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
        step();
        co_await sim_.settles();
        check();
      }
      co_await ebbs();
    });
    expect_nothing_is_left();
  }

 private:
  int below(int limit) { return static_cast<int>(random_() % static_cast<unsigned>(limit)); }
  Client* any_of(const std::vector<Client*>& some) {
    return some.empty() ? nullptr : some[static_cast<std::size_t>(below(static_cast<int>(some.size())))];
  }

  void step() {
    const int what = below(100);
    if (what < 45) {
      static constexpr int kPriorities[] = {-7, -2, -1, 0, 0, 3, 5};
      sim_.arrives(kPriorities[below(7)], std::string(1, static_cast<char>('a' + below(3))),
                   static_cast<std::size_t>(below(50)));
    } else if (what < 65) {
      if (Client* client = any_of(sim_.all(&Client::runs))) {
        sim_.finishes(*client);
      }
    } else if (what < 72) {
      if (Client* client = any_of(sim_.all(below(2) == 0 ? &Client::runs : &Client::waits))) {
        sim_.leaves(*client);
      }
    } else if (what < 78) {
      asked_ones_end();
    } else if (what < 88) {
      sim_.passes(milliseconds(below(3000)));
    } else if (what < 90) {
      sim_.passes(seconds(12));
    } else if (what < 95) {
      topology_changes(below(8));
    } else {
      static constexpr int kLevels[] = {3, -7};
      sim_.picker->set_priorities(std::span(kLevels).first(static_cast<std::size_t>(below(3))));
    }
  }
  void asked_ones_end() {
    for (Client* client : sim_.all(&Client::runs)) {
      if (client->asked) {
        sim_.finishes(*client);
      }
    }
  }
  // Bit by bit, which of three endpoints are there.
  void topology_changes(int which) {
    std::vector<Endpoint> there;
    for (int i = 0; i < 3; ++i) {
      if ((which >> i & 1) != 0) {
        there.push_back({.address = {fmt::format("10.0.0.{}", i + 1), 1}, .name = fmt::format("e{}", i)});
      }
    }
    sim_.picker->update(std::move(there));
  }

  // At the moment it got its endpoint.
  void served(const Client& client) {
    const auto endpoints = sim_.picker->endpoints();
    EXPECT_LE(endpoints->running(), kLimit * static_cast<int>(endpoints->endpoints.size()))
        << "more than the pool has room for";
    lowest_served_ = std::min(lowest_served_, rank(client.priority));
  }
  // Priorities that may wait elsewhere than in a band of their own have no rank.
  static int rank(int priority) { return priority == 3 || priority == -7 ? 100 : priority; }

  void check() {
    const json::Value state = sim_.picker->debug_state();
    std::int64_t requests = 0;
    std::int64_t bytes = 0;
    for (const json::Value& band : *json::array_at(state, "flowControl.bands")) {
      requests += json::int_at(band, "requests").value_or(-1);
      bytes += json::int_at(band, "bytes").value_or(-1);
    }
    std::int64_t bytes_that_wait = 0;
    for (const Client* client : sim_.all(&Client::waits)) {
      bytes_that_wait += static_cast<std::int64_t>(client->bytes);
      EXPECT_TRUE(client->priority == 3 || client->priority == -7 || client->priority <= lowest_served_)
          << "priority " << client->priority << " waits, " << lowest_served_ << " was served";
    }
    EXPECT_EQ(requests, sim_.count(&Client::waits));
    EXPECT_EQ(bytes, bytes_that_wait);
    for (const auto& client : sim_.clients) {
      EXPECT_LE(client->ends, 1) << "client " << client->number;
      EXPECT_TRUE(!client->asked || client->priority < 0);
    }
    lowest_served_ = 100;
  }

  // Endpoints are there, requests end, nobody comes.
  Task<void> ebbs() {
    topology_changes(7);
    co_await sim_.settles();
    for (int i = 0; i < 1000 && (sim_.count(&Client::waits) > 0 || sim_.count(&Client::runs) > 0); ++i) {
      for (Client* client : sim_.all(&Client::runs)) {
        sim_.finishes(*client);
      }
      co_await sim_.settles();
    }
  }
  void expect_nothing_is_left() {
    const json::Value state = sim_.picker->debug_state();
    EXPECT_EQ(json::int_at(state, "flowControl.waiting"), 0);
    EXPECT_EQ(json::int_at(state, "flowControl.pending"), 0);
    EXPECT_EQ(sim_.picker->endpoints()->running(), 0);
    check();
    double asked = 0;
    for (const auto& client : sim_.clients) {
      EXPECT_EQ(client->ends, 1) << "client " << client->number;
      asked += client->asked ? 1 : 0;
    }
    EXPECT_EQ(sim_.shown("requests_total"), static_cast<double>(sim_.clients.size()));
    EXPECT_EQ(sim_.shown("revocations_issued_total"), asked);
    EXPECT_EQ(sim_.shown("revocations_total"), asked);
    EXPECT_EQ(sim_.shown("pending_reclaim"), 0);
    EXPECT_EQ(sim_.shown("queue_bytes"), 0);
  }

  std::mt19937 random_;
  int lowest_served_ = 100;  // in this step
  Simulation sim_;
};

TEST(FlowStormTest, EveryRequestEndsOnceAndNothingIsLeft) {
  constexpr std::string_view kBands =
      "priorityBands: [{priority: 5}, {priority: -1}, {priority: -2, maxRequests: 5}]";
  for (unsigned seed = 1; seed <= 6; ++seed) {
    for (const std::string_view rest :
         {"", "enableEviction: true, ",
          "enableEviction: true, maxRequests: 15, maxBytes: 300, defaultRequestTTL: 10s, "
          "noEndpointRequestTTL: 20s, ",
          "defaultRequestTTL: 5s, defaultPriorityBand: {fairnessPolicyRef: round-robin-fairness-policy, "
          "orderingPolicyRef: edf-ordering-policy}, "}) {
      SCOPED_TRACE(fmt::format("seed {} {}", seed, rest));
      Storm(seed, std::string(rest) + std::string(kBands)).run(250);
      if (testing::Test::HasFailure()) {
        return;
      }
    }
  }
}

}  // namespace
}  // namespace llmd::picker
