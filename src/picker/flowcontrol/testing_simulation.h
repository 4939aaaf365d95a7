// A picker with flow control on simulated time: clients are tasks on one loop, the clock stands until the
// simulation moves it, and every step ends when all have done what they could. For tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "async/event.h"
#include "async/scope.h"
#include "metrics/registry.h"
#include "metrics/text_reader.h"
#include "picker/flowcontrol/testing_clients.h"
#include "picker/testing_clock.h"

namespace llmd::picker {

class Simulation {
 public:
  struct Client {
    int number = 0;
    int priority = 0;
    std::string flow = "f";
    std::size_t bytes = 0;
    TimePoint arrived;
    TimePoint began;     // to be served
    int turn = 0;        // in the order in which they were served
    bool asked = false;  // to end
    TimePoint asked_at;
    bool leaving = false;
    int ends = 0;
    std::string end;  // "served", "left" or the reason of a refusal
    std::unique_ptr<Decision> decision;
    std::unique_ptr<async::Event> leaves;

    bool waits() const { return ends == 0 && decision == nullptr; }
    bool runs() const { return decision != nullptr; }
  };

  Simulation(int limit, std::string_view flow)
      : picker(with_limit(limit, flow, {.metrics = &registry, .clock = &clock})) {}

  void run(const std::function<Task<void>()>& story) {
    loop_.block_on([&]() -> Task<void> {
      co_await async::with_scope(loop_.executor(), [&](async::Scope& scope) -> Task<void> {
        scope_ = &scope;
        co_await story();
      });
    }());
  }

  Client& arrives(int priority, std::string flow = "f", std::size_t bytes = 0) {
    Client& client = *clients.emplace_back(std::make_unique<Client>());
    client.number = static_cast<int>(clients.size());
    client.priority = priority;
    client.flow = std::move(flow);
    client.bytes = bytes;
    client.arrived = clock.now();
    client.leaves = std::make_unique<async::Event>(loop_.executor());
    scope_->spawn("client", live(client));
    return client;
  }
  void finishes(Client& client) {
    const auto decision = std::move(client.decision);
    ended(client, "served");
    decision->complete(
        {.cause = client.asked ? EndCause::Evicted : EndCause::Natural, .status = 200, .usage = {}});
  }
  void leaves(Client& client) {
    if (client.runs()) {
      client.decision.reset();
      ended(client, "left");
    } else {
      client.leaving = true;
      client.leaves->set();
    }
  }
  void passes(Duration duration) {
    clock.pass(duration);
    picker->numbers_changed();
  }

  // Until flow control and the clients agree on who waits, and nobody is between two states.
  Task<void> settles() {
    for (int turn = 0; turn < 100'000; ++turn) {
      co_await async::sleep(Duration::zero());
      const json::Value state = picker->debug_state();
      if (json::int_at(state, "flowControl.pending") == 0 &&
          json::int_at(state, "flowControl.waiting") == count(&Client::waits) &&
          std::ranges::none_of(clients, [](const auto& one) { return one->leaving && one->ends == 0; })) {
        co_return;
      }
    }
    ADD_FAILURE() << "flow control and its clients do not agree: " << count(&Client::waits) << " wait of "
                  << json::write(picker->debug_state());
  }

  std::vector<Client*> all(bool (Client::*is)() const) const {
    std::vector<Client*> found;
    for (const auto& client : clients) {
      if ((client.get()->*is)()) {
        found.push_back(client.get());
      }
    }
    return found;
  }
  std::int64_t count(bool (Client::*is)() const) const { return static_cast<std::int64_t>(all(is).size()); }
  double shown(std::string_view name, metrics::Exposition::Labels labels = {}) const {
    return metrics::parse_exposition(registry.write_text())
        ->sum("llm_d_epp_flow_control_" + std::string(name), labels);
  }

  HandClock clock;
  metrics::Registry registry;
  std::unique_ptr<Picker> picker;
  std::vector<std::unique_ptr<Client>> clients;
  std::function<void(const Client&)> on_served;  // before anything else happens
  std::function<void(const Client&)> on_asked;   // to end

 private:
  Task<PickResult<Decision>> ask(const Client& client) {
    co_return co_await picker->decide(
        {.model = "m", .priority = client.priority, .fairness_id = client.flow, .body_bytes = client.bytes},
        async::Deadline::never());
  }
  Task<void> live(Client& client) {
    auto decided = co_await async::unless(client.leaves->wait(), ask(client));
    if (!decided) {
      ended(client, "left");
    } else if (!*decided) {
      ended(client, std::string(decided->error().reason));
    } else {
      client.decision = std::make_unique<Decision>(std::move(**decided));
      client.began = clock.now();
      client.turn = ++turns_;
      client.decision->on_evicted([this, &client] {
        if (on_asked) {
          on_asked(client);
        }
        client.asked = true;
        client.asked_at = clock.now();
      });
      if (on_served) {
        on_served(client);
      }
      if (client.leaving) {
        leaves(client);
      }
    }
  }
  static void ended(Client& client, std::string how) {
    ++client.ends;
    client.end = std::move(how);
  }

  async::EventLoop loop_;
  async::Scope* scope_ = nullptr;
  int turns_ = 0;
};

}  // namespace llmd::picker
