#include "node/pod_status.h"

#include <boost/json.hpp>

#include <algorithm>
#include <csignal>

namespace llmd::node {
namespace {

using boost::json::array;
using Phase = ContainerStatus::Phase;

kube::Object terminated_state(const ExitRecord& exit, std::string_view reason) {
  kube::Object state{{"exitCode", exit.code},
                     {"reason", exit.code == 0 ? "Completed" : (reason.empty() ? "Error" : reason)},
                     {"startedAt", to_rfc3339(exit.started)},
                     {"finishedAt", to_rfc3339(exit.finished)}};
  if (exit.signal != 0) {
    state["signal"] = exit.signal;
  }
  if (!exit.message.empty()) {
    state["message"] = exit.message;
  }
  return {{"terminated", std::move(state)}};
}

kube::Object state_of(const ContainerStatus& status) {
  switch (status.phase) {
    case Phase::Running:
      return {{"running", kube::Object{{"startedAt", to_rfc3339(status.started)}}}};
    case Phase::Terminated:
      return terminated_state(*status.exit, status.reason);
    case Phase::Waiting:
      break;
  }
  kube::Object waiting{{"reason", status.reason}};
  if (!status.message.empty()) {
    waiting["message"] = status.message;
  }
  return {{"waiting", std::move(waiting)}};
}

// A finished init container counts as ready, a finished main container does not.
array container_statuses(const std::vector<NamedStatus>& containers, bool init) {
  array list;
  for (const auto& [name, image, status] : containers) {
    list.push_back(kube::Object{
        {"name", name},
        {"image", image},
        {"imageID", ""},
        {"ready", init ? status.succeeded() : status.ready},
        {"started", status.phase == Phase::Running && status.started_up},
        {"restartCount", status.restarts},
        {"state", state_of(status)},
        {"lastState", status.last_exit ? terminated_state(*status.last_exit, {}) : kube::Object()},
    });
  }
  return list;
}

// Kubernetes' phases: Pending until all init containers are done and one container has run; Succeeded and
// Failed only where nothing will be restarted.
std::string_view phase_of(const PodFacts& facts) {
  const auto has_ended = [](const NamedStatus& each) { return each.status.phase == Phase::Terminated; };
  const auto has_succeeded = [](const NamedStatus& each) { return each.status.succeeded(); };
  const auto has_run = [](const NamedStatus& each) {
    return each.status.phase == Phase::Running || each.status.restarts > 0 || each.status.exit;
  };
  if (facts.restart_policy == RestartPolicy::Never &&
      std::ranges::any_of(facts.init, [](const NamedStatus& each) {
        return each.status.exit && each.status.exit->code != 0;
      })) {
    return "Failed";
  }
  if (!std::ranges::all_of(facts.init, has_succeeded) || facts.containers.empty() ||
      std::ranges::none_of(facts.containers, has_run)) {
    return "Pending";
  }
  if (facts.restart_policy != RestartPolicy::Always && std::ranges::all_of(facts.containers, has_ended)) {
    return std::ranges::all_of(facts.containers, has_succeeded) ? "Succeeded" : "Failed";
  }
  return "Running";
}

std::string unready_names(const std::vector<NamedStatus>& containers) {
  std::string names;
  for (const NamedStatus& each : containers) {
    if (!each.status.ready) {
      names += (names.empty() ? "" : " ") + each.name;
    }
  }
  return names;
}

ExitRecord exit_of(const kube::Object& terminated) {
  ExitRecord exit{.code = static_cast<int>(kube::find_int(terminated, "exitCode", 0)),
                  .signal = static_cast<int>(kube::find_int(terminated, "signal", 0))};
  exit.started = parse_rfc3339(kube::find_string(terminated, "startedAt")).value_or(WallTime());
  exit.finished = parse_rfc3339(kube::find_string(terminated, "finishedAt")).value_or(WallTime());
  return exit;
}

}  // namespace

kube::Object pod_status(const kube::Object& before, const PodFacts& facts) {
  const std::string now = to_rfc3339(facts.now);
  const auto phase = phase_of(facts);
  const bool initialized =
      std::ranges::all_of(facts.init, [](const NamedStatus& each) { return each.status.succeeded(); });
  const std::string unready = unready_names(facts.containers);
  const bool ready = initialized && !facts.containers.empty() && unready.empty();

  kube::Object carrier;  // set_condition works on whole objects
  if (const auto* old = kube::find_array(before, "status.conditions")) {
    carrier["status"] = kube::Object{{"conditions", *old}};
  }
  const auto condition = [&](std::string_view type, bool holds, std::string_view reason,
                             std::string_view message) {
    kube::set_condition(carrier, type, holds ? "True" : "False", holds ? "" : reason, holds ? "" : message,
                        now);
  };
  const std::string why =
      unready.empty() ? std::string() : "containers with unready status: [" + unready + "]";
  condition("PodScheduled", true, {}, {});
  condition("Initialized", initialized, "ContainersNotInitialized", "init containers have not completed");
  condition("ContainersReady", ready, "ContainersNotReady", why);
  condition("Ready", ready, "ContainersNotReady", why);

  const auto started = kube::find_string(before, "status.startTime");
  kube::Object status{{"phase", phase},
                      {"conditions", *kube::find_array(carrier, "status.conditions")},
                      {"hostIP", facts.host_address},
                      {"podIP", facts.address},
                      {"podIPs", array{kube::Object{{"ip", facts.address}}}},
                      {"startTime", started.empty() ? now : std::string(started)},
                      {"qosClass", "BestEffort"},
                      {"containerStatuses", container_statuses(facts.containers, false)}};
  if (!facts.init.empty()) {
    status["initContainerStatuses"] = container_statuses(facts.init, true);
  }
  return status;
}

ContainerStatus remembered_status(const kube::Object& pod, std::string_view list,
                                  std::string_view container) {
  ContainerStatus result;
  const auto* statuses = kube::find_array(pod, fmt::format("status.{}", list));
  for (std::size_t i = 0; statuses != nullptr && i < statuses->size(); ++i) {
    const auto& entry = statuses->at(i).as_object();
    if (kube::find_string(entry, "name") != container) {
      continue;
    }
    result.restarts = static_cast<int>(kube::find_int(entry, "restartCount", 0));
    if (kube::find_object(entry, "state.running") != nullptr) {
      result.phase = Phase::Running;
    }
    if (const auto* ended = kube::find_object(entry, "state.terminated")) {
      result.phase = Phase::Terminated;
      result.exit = exit_of(*ended);
    }
    if (const auto* last = kube::find_object(entry, "lastState.terminated")) {
      result.last_exit = exit_of(*last);
    }
  }
  return result;
}

}  // namespace llmd::node
