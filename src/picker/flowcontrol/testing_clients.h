// Clients of a picker with flow control, on one loop. For tests.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "async/event_loop.h"
#include "async/scope.h"
#include "json/path.h"
#include "picker/picker.h"

namespace llmd::picker {

inline Endpoint endpoint(std::string name) {
  return {.address = {"10.0.0.1", 1}, .name = std::move(name)};
}

inline std::unique_ptr<Picker> with_limit(int limit, std::string_view flow, PickerOptions options = {}) {
  auto picker = Picker::from_config(
      fmt::format("featureGates: [flowControl]\nplugins: [{{type: concurrency-detector, parameters: "
                  "{{maxConcurrency: {}}}}}]\nflowControl: {{saturationDetector: {{pluginRef: "
                  "concurrency-detector}}{}{}}}\n",
                  limit, flow.empty() ? "" : ", ", flow),
      "flow", options);
  EXPECT_TRUE(picker) << picker.error().text();
  (*picker)->update({endpoint("only")});
  return std::move(*picker);
}

// Clients of one picker on one loop. What happens to them is written down in order: their name when they are
// served, with the reason when they are not.
struct Clients {
  explicit Clients(int limit, std::string_view flow = "", PickerOptions options = {})
      : picker(with_limit(limit, flow, options)) {}

  Task<void> ask(std::string name, Request request) {
    auto decided = co_await picker->decide(request, async::Deadline::never());
    if (decided) {
      events.push_back(name);
      served.emplace(name, std::move(*decided));
    } else {
      events.push_back(fmt::format("{} {} {}", name, decided.error().status, decided.error().reason));
    }
  }
  // Asks, and goes on when the request waits or is settled.
  Task<void> arrives(async::Scope& scope, std::string name, Request request) {
    const std::size_t before = waiting() + events.size();
    scope.spawn(name, ask(name, request));
    while (waiting() + events.size() == before) {
      co_await async::sleep(std::chrono::milliseconds(1));
    }
  }
  Task<void> until_events(std::size_t count) {
    const auto deadline = async::Deadline::after(std::chrono::seconds(30));
    while (events.size() < count && !deadline.expired()) {
      co_await async::sleep(std::chrono::milliseconds(1));
    }
  }
  // The request ends, and whoever is next has been told.
  Task<void> ends(std::string name, std::size_t events_then) {
    served.at(name).complete({});
    served.erase(name);
    co_await until_events(events_then);
  }
  std::size_t waiting() const {
    return static_cast<std::size_t>(json::int_at(picker->debug_state(), "flowControl.waiting").value_or(0));
  }
  std::size_t bands() const {
    const json::Value state = picker->debug_state();
    return json::array_at(state, "flowControl.bands")->size();
  }
  void run(const std::function<Task<void>(async::Scope&)>& story) {
    loop.block_on([&]() -> Task<void> {
      co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
        co_await story(scope);
        served.clear();
      });
    }());
  }

  async::EventLoop loop;
  std::unique_ptr<Picker> picker;
  std::vector<std::string> events;
  std::map<std::string, Decision> served;
};

}  // namespace llmd::picker
