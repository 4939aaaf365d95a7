// Probes, by the kubelet's rules: startup gates the other two, readiness decides about traffic, liveness
// restarts. One difference: until a container first succeeds it is asked more often than its period says
// (from 50 ms up), so that an engine that starts in a second is ready after a second.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "async/event_loop.h"
#include "base/clock.h"
#include "http/client.h"
#include "kube/object.h"
#include "node/environment.h"

namespace llmd::node {

struct Probe {
  enum class Action { Http, Tcp, Exec };
  Action action = Action::Http;
  std::string path = "/";
  std::uint16_t port = 0;
  std::vector<std::string> command;  // Exec
  Duration initial_delay{0};
  Duration period = std::chrono::seconds(10);
  Duration timeout = std::chrono::seconds(1);
  int success_threshold = 1;
  int failure_threshold = 3;
};

// `field` is startupProbe, readinessProbe or livenessProbe. Ports may be named. nullopt: the container has
// none.
Result<std::optional<Probe>> parse_probe(const kube::Object& container, std::string_view field);

// Counts answers in a row against the thresholds.
class ProbeTracker {
 public:
  ProbeTracker(const Probe& probe, bool initially) : probe_(probe), state_(initially) {}
  // True when the verdict changed.
  bool observe(bool success);
  bool succeeded() const { return state_; }
  // True each time failure_threshold answers in a row were bad.
  bool failed() const { return failures_ >= probe_.failure_threshold; }

 private:
  Probe probe_;
  bool state_;
  int successes_ = 0;
  int failures_ = 0;
};

// How long to wait before the next question; `asked` questions have been put, none answered well so far.
Duration eager_interval(const Probe& probe, int asked);

// Asks once. An error says what was wrong, as the event and the log will show it.
Task<Result<void>> ask(async::EventLoop& loop, http::ClientPool& pool, const Probe& probe,
                       std::string address, const Environment& environment);

}  // namespace llmd::node
