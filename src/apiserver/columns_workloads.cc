// Pods, ReplicaSets, Deployments.
#include <boost/json/array.hpp>

#include <algorithm>

#include "apiserver/cells.h"
#include "apiserver/table.h"
#include "kube/selector.h"

namespace llmd::apiserver {

namespace {

using boost::json::array;
using kube::find_array;
using kube::find_bool;
using kube::find_int;
using kube::find_object;
using kube::find_string;
using kube::Object;

template <typename Function>
void for_each(const Object& object, std::string_view path, Function function) {
  if (const array* list = find_array(object, path)) {
    for (const boost::json::value& item : *list) {
      if (item.is_object()) {
        function(item.get_object());
      }
    }
  }
}

bool is_sidecar(const Object& pod, std::string_view container) {
  bool found = false;
  for_each(pod, "spec.initContainers", [&](const Object& candidate) {
    found = found || (find_string(candidate, "name") == container &&
                      find_string(candidate, "restartPolicy") == "Always");
  });
  return found;
}

// What `kubectl get pods` shows of one pod, computed in one pass over its container statuses.
struct PodView {
  std::string status;
  std::int64_t ready = 0;
  std::int64_t total = 0;
  std::int64_t restarts = 0;
  std::string last_restart;
};

std::string terminated_text(const Object& terminated) {
  if (const std::string_view reason = find_string(terminated, "reason"); !reason.empty()) {
    return std::string(reason);
  }
  if (const std::int64_t signal = find_int(terminated, "signal", 0); signal != 0) {
    return fmt::format("Signal:{}", signal);
  }
  return fmt::format("ExitCode:{}", find_int(terminated, "exitCode", 0));
}

void count_restarts(PodView& view, const Object& status) {
  view.restarts += find_int(status, "restartCount", 0);
  view.last_restart =
      std::max(view.last_restart, std::string(find_string(status, "lastState.terminated.finishedAt")));
}

// True while the init containers decide what the pod's status is.
bool view_init_containers(PodView& view, const Object& pod) {
  const array* containers = find_array(pod, "spec.initContainers");
  const std::size_t count = containers ? containers->size() : 0;
  bool pending = false;
  std::size_t index = 0;
  for_each(pod, "status.initContainerStatuses", [&](const Object& status) {
    const std::size_t i = index++;
    const bool sidecar = is_sidecar(pod, find_string(status, "name"));
    view.ready += sidecar && find_bool(status, "ready", false) ? 1 : 0;
    if (pending) {
      return;
    }
    count_restarts(view, status);
    const Object* terminated = find_object(status, "state.terminated");
    const std::string_view waiting = find_string(status, "state.waiting.reason");
    if ((terminated && find_int(*terminated, "exitCode", 0) == 0) ||
        (sidecar && find_bool(status, "started", false))) {
      return;
    }
    pending = true;
    view.status = terminated                                         ? "Init:" + terminated_text(*terminated)
                  : !waiting.empty() && waiting != "PodInitializing" ? "Init:" + std::string(waiting)
                                                                     : fmt::format("Init:{}/{}", i, count);
  });
  const Object* initialized = kube::find_condition(pod, "Initialized");
  return pending && !(initialized && find_string(*initialized, "status") == "True");
}

void view_containers(PodView& view, const Object& pod) {
  view.restarts = 0;
  view.last_restart.clear();
  bool running = false;
  for_each(pod, "status.initContainerStatuses", [&](const Object& status) {
    if (is_sidecar(pod, find_string(status, "name"))) {
      count_restarts(view, status);
    }
  });
  std::vector<const Object*> statuses;
  for_each(pod, "status.containerStatuses", [&](const Object& status) { statuses.push_back(&status); });
  for (const Object* status : statuses) {
    count_restarts(view, *status);
    const bool ready = find_bool(*status, "ready", false);
    view.ready += ready ? 1 : 0;
    running = running || (ready && find_object(*status, "state.running"));
  }
  for (auto status = statuses.rbegin(); status != statuses.rend(); ++status) {
    const std::string_view waiting = find_string(**status, "state.waiting.reason");
    const Object* terminated = find_object(**status, "state.terminated");
    if (!waiting.empty()) {
      view.status = waiting;
    } else if (terminated) {
      view.status = terminated_text(*terminated);
    }
  }
  if (view.status == "Completed" && running) {
    const Object* ready = kube::find_condition(pod, "Ready");
    view.status = ready && find_string(*ready, "status") == "True" ? "Running" : "NotReady";
  }
}

PodView view_of(const Object& pod) {
  PodView view;
  const std::string_view phase = find_string(pod, "status.phase");
  view.status = phase;
  if (const std::string_view reason = find_string(pod, "status.reason"); !reason.empty()) {
    view.status = reason;
  }
  const Object* scheduled = kube::find_condition(pod, "PodScheduled");
  if (scheduled && find_string(*scheduled, "reason") == "SchedulingGated") {
    view.status = "SchedulingGated";
  }
  for_each(pod, "spec.containers", [&](const Object&) { ++view.total; });
  for_each(pod, "spec.initContainers", [&](const Object& container) {
    view.total += find_string(container, "restartPolicy") == "Always" ? 1 : 0;
  });
  if (!view_init_containers(view, pod)) {
    view_containers(view, pod);
  }
  if (kube::is_being_deleted(pod)) {
    if (find_string(pod, "status.reason") == "NodeLost") {
      view.status = "Unknown";
    } else if (phase != "Failed" && phase != "Succeeded") {
      view.status = "Terminating";
    }
  }
  return view;
}

array pod_cells(const Object& pod, WallTime now) {
  const PodView view = view_of(pod);
  std::string restarts = std::to_string(view.restarts);
  if (view.restarts > 0 && !view.last_restart.empty()) {
    restarts += fmt::format(" ({} ago)", age_text(view.last_restart, now));
  }
  const array* gates = find_array(pod, "spec.readinessGates");
  return {cell(kube::name_of(pod)),
          cell(fmt::format("{}/{}", view.ready, view.total)),
          cell(view.status),
          cell(restarts),
          cell(age_of(pod, now)),
          cell(or_none(find_string(pod, "status.podIP"))),
          cell(or_none(find_string(pod, "spec.nodeName"))),
          cell(or_none(find_string(pod, "status.nominatedNodeName"))),
          cell(gates && !gates->empty() ? fmt::format("0/{}", gates->size()) : "<none>")};
}

std::string of_containers(const Object& object, std::string_view member) {
  std::string text;
  for_each(object, "spec.template.spec.containers", [&](const Object& container) {
    text += (text.empty() ? "" : ",") + std::string(find_string(container, member));
  });
  return text;
}

std::string selector_cell(const Object& object) {
  const Object* selector = find_object(object, "spec.selector");
  return or_none(selector ? kube::selector_text(*selector) : std::string());
}

array deployment_cells(const Object& object, WallTime now) {
  return {cell(kube::name_of(object)),
          cell(fmt::format("{}/{}", find_int(object, "status.readyReplicas", 0),
                           find_int(object, "spec.replicas", 1))),
          boost::json::value(find_int(object, "status.updatedReplicas", 0)),
          boost::json::value(find_int(object, "status.availableReplicas", 0)),
          cell(age_of(object, now)),
          cell(of_containers(object, "name")),
          cell(of_containers(object, "image")),
          cell(selector_cell(object))};
}

array replica_set_cells(const Object& object, WallTime now) {
  return {cell(kube::name_of(object)),
          boost::json::value(find_int(object, "spec.replicas", 1)),
          boost::json::value(find_int(object, "status.replicas", 0)),
          boost::json::value(find_int(object, "status.readyReplicas", 0)),
          cell(age_of(object, now)),
          cell(of_containers(object, "name")),
          cell(of_containers(object, "image")),
          cell(selector_cell(object))};
}

const Column kAge{"Age", "time since the object was made"};
const Column kName{"Name", "name of the object"};
const Column kContainers{"Containers", "names of the containers", "string", 1};
const Column kImages{"Images", "images of the containers", "string", 1};
const Column kSelector{"Selector", "labels that the pods have", "string", 1};

}  // namespace

const TableLayout* workload_layout(const Kind& kind) {
  static const TableLayout pods{{kName,
                                 {"Ready", "ready containers of all containers"},
                                 {"Status", "what the containers do"},
                                 {"Restarts", "how often containers were restarted, and when last"},
                                 kAge,
                                 {"IP", "address of the pod", "string", 1},
                                 {"Node", "where the pod runs", "string", 1},
                                 {"Nominated Node", "where the pod might run", "string", 1},
                                 {"Readiness Gates", "further conditions for readiness", "string", 1}},
                                pod_cells};
  static const TableLayout deployments{{kName,
                                        {"Ready", "ready pods of wanted pods"},
                                        {"Up-to-date", "pods of the newest template"},
                                        {"Available", "pods that have been ready long enough"},
                                        kAge,
                                        kContainers,
                                        kImages,
                                        kSelector},
                                       deployment_cells};
  static const TableLayout replica_sets{{kName,
                                         {"Desired", "wanted pods", "integer"},
                                         {"Current", "existing pods", "integer"},
                                         {"Ready", "ready pods", "integer"},
                                         kAge,
                                         kContainers,
                                         kImages,
                                         kSelector},
                                        replica_set_cells};
  return kind.resource == kube::kPods          ? &pods
         : kind.resource == kube::kDeployments ? &deployments
         : kind.resource == kube::kReplicaSets ? &replica_sets
                                               : nullptr;
}

}  // namespace llmd::apiserver
