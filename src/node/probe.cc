#include "node/probe.h"

#include <boost/json.hpp>

#include <algorithm>
#include <cmath>

#include "net/stream.h"
#include "process/process.h"

namespace llmd::node {
namespace {

Result<std::uint16_t> probe_port(const kube::Object& container, const kube::Object& action,
                                 std::string_view field) {
  const auto* port = action.if_contains("port");
  if (port != nullptr && port->is_int64() && port->as_int64() > 0 && port->as_int64() < 65536) {
    return static_cast<std::uint16_t>(port->as_int64());
  }
  const auto name =
      port != nullptr && port->is_string() ? std::string_view(port->as_string()) : std::string_view();
  if (const auto* ports = kube::find_array(container, "ports")) {
    for (const auto& entry : *ports) {
      if (entry.is_object() && !name.empty() && kube::find_string(entry.as_object(), "name") == name) {
        return static_cast<std::uint16_t>(kube::find_int(entry.as_object(), "containerPort", 0));
      }
    }
  }
  return invalid_argument(
      "container '{}': {}: port '{}' is neither a number nor the name of a container port",
      kube::find_string(container, "name"), field, name);
}

Duration seconds_of(const kube::Object& probe, std::string_view field, std::int64_t fallback) {
  return std::chrono::seconds(std::max<std::int64_t>(0, kube::find_int(probe, field, fallback)));
}

Task<Result<void>> ask_http(http::ClientPool& pool, const Probe& probe, net::Address address) {
  http::ClientRequest request{.address = std::move(address), .head = {.method = "GET", .target = probe.path}};
  request.timeouts = {.connect = probe.timeout,
                      .first_byte = probe.timeout,
                      .idle = probe.timeout,
                      .total = async::Deadline::after(probe.timeout)};
  LLMD_CO_TRY(const auto answer, co_await http::fetch(pool, std::move(request), 64 * 1024));
  if (answer.status < 200 || answer.status >= 400) {
    co_return unavailable("HTTP probe answered {}", answer.status);
  }
  co_return Result<void>();
}

Task<Result<void>> ask_tcp(const Probe& probe, net::Address address) {
  LLMD_CO_TRY(const auto stream,
              co_await net::dial(std::move(address), {.deadline = async::Deadline::after(probe.timeout)}));
  stream->close();
  co_return Result<void>();
}

Task<Result<void>> ask_exec(async::EventLoop& loop, const Probe& probe, const Environment& environment) {
  process::SpawnOptions options{.arguments = probe.command, .environment = environment};
  LLMD_CO_TRY(const auto output, co_await process::run(loop, std::move(options),
                                                       async::Deadline::after(probe.timeout), 16 * 1024));
  if (!output.status.ok()) {
    co_return unavailable("exec probe ended with {}", output.status.to_string());
  }
  co_return Result<void>();
}

}  // namespace

Result<std::optional<Probe>> parse_probe(const kube::Object& container, std::string_view field) {
  const auto* object = kube::find_object(container, field);
  if (object == nullptr) {
    return std::nullopt;
  }
  Probe probe{
      .initial_delay = seconds_of(*object, "initialDelaySeconds", 0),
      .period = std::max<Duration>(seconds_of(*object, "periodSeconds", 10), std::chrono::seconds(1)),
      .timeout = std::max<Duration>(seconds_of(*object, "timeoutSeconds", 1), std::chrono::seconds(1)),
      .success_threshold = static_cast<int>(kube::find_int(*object, "successThreshold", 1)),
      .failure_threshold = static_cast<int>(kube::find_int(*object, "failureThreshold", 3))};
  if (const auto* http = kube::find_object(*object, "httpGet")) {
    LLMD_TRY(probe.port, probe_port(container, *http, field));
    if (const auto path = kube::find_string(*http, "path"); !path.empty()) {
      probe.path = path;
    }
    if (kube::find_string(*http, "scheme") == "HTTPS") {
      return unimplemented("container '{}': {}: HTTPS probes are not supported on one machine",
                           kube::find_string(container, "name"), field);
    }
  } else if (const auto* tcp = kube::find_object(*object, "tcpSocket")) {
    probe.action = Probe::Action::Tcp;
    LLMD_TRY(probe.port, probe_port(container, *tcp, field));
  } else if (const auto* command = kube::find_array(*object, "exec.command")) {
    probe.action = Probe::Action::Exec;
    for (const auto& word : *command) {
      probe.command.emplace_back(word.is_string() ? std::string_view(word.as_string()) : std::string_view());
    }
  } else {
    return unimplemented("container '{}': {} has no httpGet, tcpSocket or exec",
                         kube::find_string(container, "name"), field);
  }
  return probe;
}

bool ProbeTracker::observe(bool success) {
  successes_ = success ? successes_ + 1 : 0;
  failures_ = success ? 0 : failures_ + 1;
  const bool next = state_ ? failures_ < probe_.failure_threshold : successes_ >= probe_.success_threshold;
  return std::exchange(state_, next) != next;
}

Duration eager_interval(const Probe& probe, int asked) {
  using namespace std::chrono_literals;
  const double grown = 0.05 * std::pow(1.3, std::min(asked, 60));
  return std::min<Duration>(probe.period,
                            std::chrono::duration_cast<Duration>(std::chrono::duration<double>(grown)));
}

Task<Result<void>> ask(async::EventLoop& loop, http::ClientPool& pool, const Probe& probe,
                       std::string address, const Environment& environment) {
  switch (probe.action) {
    case Probe::Action::Http:
      co_return co_await ask_http(pool, probe, {address, probe.port});
    case Probe::Action::Tcp:
      co_return co_await ask_tcp(probe, {address, probe.port});
    case Probe::Action::Exec:
      co_return co_await ask_exec(loop, probe, environment);
  }
  co_return internal_error("unknown probe action");
}

}  // namespace llmd::node
