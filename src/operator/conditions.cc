// One small function per condition.
#include <boost/json.hpp>

#include <algorithm>

#include "base/strings.h"
#include "llmisvc/route_group.h"
#include "operator/scaling_condition.h"
#include "operator/status.h"

namespace llmd::operators {
namespace {

using llmisvc::Service;

Condition is_true(std::string_view type) {
  return {.type = std::string(type), .truth = Truth::True};
}
Condition is_false(std::string_view type, std::string_view reason, std::string message) {
  return {.type = std::string(type),
          .truth = Truth::False,
          .reason = std::string(reason),
          .message = std::move(message)};
}

Condition stopped(std::string_view type) {
  return is_false(type, "Stopped", "the service is stopped");
}

Condition presets_combined(const StatusFacts& facts) {
  const auto& findings = facts.compiled->findings;
  if (!llmisvc::has_errors(findings)) {
    return is_true("PresetsCombined");
  }
  if (is_stopped(*facts.object)) {
    return stopped("PresetsCombined");
  }
  const bool missing =
      std::ranges::any_of(findings, [](const auto& f) { return f.code == "config-not-found"; });
  return is_false("PresetsCombined", missing ? "ConfigNotFound" : "CombineBaseError",
                  llmisvc::error_of(findings).text());
}

// A LeaderWorkerSet says of no generation that it was observed; its condition is recomputed in one pass with
// the number of its groups.
bool is_group(const kube::Object& workload) {
  return kube::kind_of(workload) == "LeaderWorkerSet";
}

bool is_current(const kube::Object& workload) {
  if (is_group(workload)) {
    return kube::find_int(workload, "status.readyReplicas", 0) >=
           kube::find_int(workload, "spec.replicas", 1);
  }
  return kube::find_int(workload, "status.observedGeneration", 0) >= kube::generation_of(workload);
}

std::string_view condition_status(const kube::Object& object, std::string_view type) {
  const auto* condition = kube::find_condition(object, type);
  return condition == nullptr ? std::string_view() : kube::find_string(*condition, "status");
}

std::string progress_of(const kube::Object& workload) {
  const auto wanted = kube::find_int(workload, "spec.replicas", 1);
  const auto ready = std::max(kube::find_int(workload, "status.availableReplicas", 0),
                              kube::find_int(workload, "status.readyReplicas", 0));
  return fmt::format("{} of {} {} are ready", ready, wanted, is_group(workload) ? "groups" : "replicas");
}

// A Deployment or LeaderWorkerSet: available, for the generation that is wanted.
Condition workload_ready(std::string_view type, const kube::Object* workload,
                         const std::vector<const kube::Object*>& pods) {
  if (workload == nullptr) {
    return is_false(type, "Progressing", "not created yet");
  }
  if (is_current(*workload) && condition_status(*workload, "Available") == "True") {
    return is_true(type);
  }
  if (auto trouble = trouble_of(pods)) {
    return is_false(type, trouble->reason, progress_of(*workload) + "; " + trouble->message);
  }
  const auto* available = kube::find_condition(*workload, "Available");
  const auto* progressing = kube::find_condition(*workload, "Progressing");
  if (progressing != nullptr && kube::find_string(*progressing, "status") == "False") {
    return is_false(type, kube::find_string(*progressing, "reason"),
                    std::string(kube::find_string(*progressing, "message")));
  }
  if (!is_current(*workload) || available == nullptr) {
    return is_false(type, "Progressing", progress_of(*workload));
  }
  const auto reason = kube::find_string(*available, "reason");
  return is_false(type, reason.empty() ? "MinimumReplicasUnavailable" : reason, progress_of(*workload));
}

// What keeps a group from being what its manifest says.
std::optional<Condition> group_obstacle(std::string_view type, const llmisvc::Workload& workload,
                                        const Obstacles& obstacles) {
  if (!workload.worker) {
    return std::nullopt;
  }
  if (obstacles.absent_kinds.contains("LeaderWorkerSet")) {
    return is_false(type, "LeaderWorkerSetCRDNotFound",
                    "the cluster does not know the kind LeaderWorkerSet: install LeaderWorkerSet, or remove "
                    "worker");
  }
  for (const llmisvc::Finding& finding : obstacles.immutable) {
    if (finding.path.starts_with(workload.path + ".parallelism")) {
      return is_false(type, "GroupSizeChanged",
                      fmt::format("{}; the running groups stay: {}", finding.sentence, finding.fix));
    }
  }
  return std::nullopt;
}

void add_workload(std::string_view type, const llmisvc::Workload& workload, const StatusFacts& facts,
                  std::vector<Condition>& parts) {
  const bool is_main = workload.path == "spec";
  if (facts.compiled->service.stopped) {
    parts.push_back(stopped(type));
  } else if (auto obstacle = group_obstacle(type, workload, facts.obstacles)) {
    parts.push_back(std::move(*obstacle));
  } else if (is_main && facts.apply_error) {
    parts.push_back(is_false(type, "ApplyFailed", facts.apply_error->text()));
  } else {
    parts.push_back(is_main ? workload_ready(type, facts.main, facts.main_pods)
                            : workload_ready(type, facts.prefill, facts.prefill_pods));
  }
}

void add_scaling(std::string_view type, const llmisvc::Workload& workload, const kube::Object* scaler,
                 const StatusFacts& facts, std::vector<Condition>& parts) {
  // Nobody scales where the gateway picks: on one machine.
  if (workload.scaling && !facts.compiled->service.stopped && !facts.picks_in_gateway) {
    const bool by_keda = kube::find_object(*workload.scaling, "wva.keda") != nullptr;
    parts.push_back(scaling_ready(type, scaler, by_keda, facts.obstacles.absent_kinds));
  }
}

std::vector<Condition> workload_conditions(const StatusFacts& facts) {
  const Service& service = facts.compiled->service;
  std::vector<Condition> parts;
  add_workload(service.main.worker ? "WorkerWorkloadReady" : "MainWorkloadReady", service.main, facts, parts);
  if (service.prefill) {
    add_workload(service.prefill->worker ? "PrefillWorkerWorkloadReady" : "PrefillWorkloadReady",
                 *service.prefill, facts, parts);
  }
  add_scaling("ScalingReady", service.main, facts.main_scaler, facts, parts);
  if (service.prefill) {
    add_scaling("PrefillScalingReady", *service.prefill, facts.prefill_scaler, facts, parts);
  }
  return parts;
}

Condition gateways_ready(const StatusFacts& facts) {
  constexpr std::string_view kType = "GatewaysReady";
  if (!facts.missing_gateways.empty()) {
    std::vector<std::string> sentences;
    for (const std::string& name : facts.missing_gateways) {
      sentences.push_back(fmt::format("Gateway {} does not exist", name));
    }
    return is_false(kType, "RefsInvalid", join(sentences, "; "));
  }
  for (const kube::Object* gateway : facts.gateways) {
    if (condition_status(*gateway, "Programmed") != "True" &&
        !(facts.trusts_silent_gateway && kube::find_array(*gateway, "status.conditions") == nullptr)) {
      return is_false(kType, "GatewaysNotReady",
                      fmt::format("Gateway {} is not programmed", kube::key_of(*gateway).to_string()));
    }
  }
  return is_true(kType);
}

// Empty when every parent accepted the route and resolved its backends; else what is missing.
std::string route_trouble(const kube::Object& route, bool trusts_silence) {
  const auto* parents = kube::find_array(route, "status.parents");
  if (parents == nullptr || parents->empty()) {
    return trusts_silence ? std::string() : "no gateway has accepted it yet";
  }
  for (const auto& parent : *parents) {
    if (!parent.is_object()) {
      continue;
    }
    kube::Object carrier{{"status", {{"conditions", boost::json::array()}}}};
    if (const auto* conditions = kube::find_array(parent.get_object(), "conditions")) {
      kube::at(carrier, "status.conditions") = *conditions;
    }
    for (const char* type : {"Accepted", "ResolvedRefs"}) {
      const auto* condition = kube::find_condition(carrier, type);
      if (condition != nullptr && kube::find_string(*condition, "status") != "True") {
        return fmt::format("{}: {}", kube::find_string(*condition, "reason"),
                           kube::find_string(*condition, "message"));
      }
    }
  }
  return {};
}

Condition routes_ready(const StatusFacts& facts) {
  constexpr std::string_view kType = "HTTPRoutesReady";
  if (!facts.missing_routes.empty()) {
    return is_false(kType, "RefsInvalid",
                    fmt::format("HTTPRoute {} does not exist", facts.missing_routes.front()));
  }
  if (facts.obstacles.absent_kinds.contains("HTTPRoute")) {
    return is_false(kType, "HTTPRouteCRDNotFound",
                    "the cluster does not know the kind HTTPRoute: install the Gateway API, or remove "
                    "router.route");
  }
  if (facts.routes.empty()) {
    return is_false(kType, "HTTPRoutesNotReady", "not created yet");
  }
  for (const kube::Object* route : facts.routes) {
    if (const std::string trouble = route_trouble(*route, facts.trusts_silent_gateway); !trouble.empty()) {
      return is_false(kType, "HTTPRoutesNotReady",
                      fmt::format("{}: {}", kube::key_of(*route).to_string(), trouble));
    }
  }
  if (facts.no_answer) {
    return is_false(kType, "NoAnswer",
                    fmt::format("{} does not answer yet: {}", facts.url, facts.no_answer->message));
  }
  return is_true(kType);
}

struct Parent {
  std::string name;
  std::string name_space;
  bool operator==(const Parent&) const = default;
};

// The gateways that the routes hang from.
std::vector<Parent> gateways_in_use(const StatusFacts& facts) {
  std::vector<Parent> gateways;
  for (const kube::Object* route : facts.routes) {
    const auto* parents = kube::find_array(*route, "spec.parentRefs");
    for (std::size_t i = 0; parents != nullptr && i < parents->size(); ++i) {
      const auto& parent = (*parents)[i].get_object();
      const auto name_space = kube::find_string(parent, "namespace");
      gateways.push_back(
          {.name = std::string(kube::find_string(parent, "name")),
           .name_space = std::string(name_space.empty() ? kube::namespace_of(*route) : name_space)});
    }
  }
  return gateways;
}

bool has_accepted(const kube::Object& parent, std::int64_t generation) {
  const auto* conditions = kube::find_array(parent, "conditions");
  return conditions != nullptr && std::ranges::any_of(*conditions, [&](const auto& condition) {
           const auto& object = condition.get_object();
           return kube::find_string(object, "type") == "Accepted" &&
                  kube::find_string(object, "status") == "True" &&
                  kube::find_int(object, "observedGeneration", generation) >= generation;
         });
}

bool accepts(const kube::Object& pool, const Parent& gateway) {
  // v1 and v1alpha2 spell it differently.
  for (const char* path : {"status.parents", "status.parent"}) {
    const auto* parents = kube::find_array(pool, path);
    for (std::size_t i = 0; parents != nullptr && i < parents->size(); ++i) {
      const auto& parent = (*parents)[i].get_object();
      const auto name_space = kube::find_string(parent, "parentRef.namespace");
      const Parent named{
          .name = std::string(kube::find_string(parent, "parentRef.name")),
          .name_space = std::string(name_space.empty() ? kube::namespace_of(pool) : name_space)};
      if (named == gateway && has_accepted(parent, kube::generation_of(pool))) {
        return true;
      }
    }
  }
  return false;
}

// One generation of the pool that every gateway in use has accepted is enough.
Condition pool_ready(const StatusFacts& facts) {
  constexpr std::string_view kType = "InferencePoolReady";
  if (facts.pools.empty()) {
    return is_false(kType, "InferencePoolNotReady", "not created yet");
  }
  const std::vector<Parent> gateways = gateways_in_use(facts);
  const bool accepted = std::ranges::any_of(facts.pools, [&](const kube::Object* pool) {
    return std::ranges::all_of(gateways, [&](const Parent& gateway) { return accepts(*pool, gateway); });
  });
  if (accepted && !gateways.empty()) {
    return is_true(kType);
  }
  return is_false(
      kType, "WaitingForGateway",
      fmt::format("InferencePool {} is there, and not every gateway of the routes has accepted it",
                  kube::key_of(*facts.pools.front()).to_string()));
}

std::vector<Condition> router_conditions(const StatusFacts& facts) {
  const Service& service = facts.compiled->service;
  std::vector<Condition> parts;
  if (!service.router) {
    return parts;
  }
  const auto part = [&](std::string_view type, auto compute) {
    parts.push_back(service.stopped ? stopped(type) : compute());
  };
  if (!service.router->gateways.empty()) {
    part("GatewaysReady", [&] { return gateways_ready(facts); });
  }
  if (service.router->has_route) {
    part("HTTPRoutesReady", [&] { return routes_ready(facts); });
  }
  if (service.router->scheduler && service.router->has_route && !facts.picks_in_gateway) {
    part("InferencePoolReady", [&] { return pool_ready(facts); });
  }
  if (service.has_managed_scheduler() && !facts.picks_in_gateway) {
    part("SchedulerWorkloadReady",
         [&] { return workload_ready("SchedulerWorkloadReady", facts.scheduler, {}); });
  }
  return parts;
}

// Conditions that people should read and that Ready is not made of.
std::vector<Condition> notices(const StatusFacts& facts) {
  const Service& service = facts.compiled->service;
  std::vector<Condition> list;
  if (service.stopped) {
    return list;
  }
  if (!llmisvc::routing_group(service).empty()) {
    list.push_back(facts.routes.empty()
                       ? is_false("GroupReady", "HTTPRoutesNotReady", "there is no route yet")
                       : is_true("GroupReady"));
    const auto& divergent = facts.obstacles.divergent;
    list.push_back(
        divergent.empty()
            ? is_false("GroupDegraded", "", "")
            : Condition{.type = "GroupDegraded",
                        .truth = Truth::True,
                        .reason = "MemberDivergence",
                        .message = fmt::format("left out, because they serve other models than '{}' and "
                                               "its adapters: {}",
                                               service.model.name, join(divergent, ", "))});
  }
  if (!facts.obstacles.collisions.empty()) {
    list.push_back({.type = "ModelNameCollision",
                    .truth = Truth::True,
                    .reason = "ModelNameCollision",
                    .message = fmt::format("{}: requests for that name may reach either",
                                           join(facts.obstacles.collisions, "; "))});
  }
  if (facts.obstacles.monitors_absent) {
    list.push_back(
        is_false("MonitoringReady", "MonitoringCRDNotFound",
                 "monitors are asked for, and the cluster does not know the kind PodMonitor: install "
                 "the Prometheus operator"));
  }
  return list;
}

// The first part that is not true decides.
Condition all_of(std::string_view type, const std::vector<Condition>& parts) {
  const auto bad =
      std::ranges::find_if(parts, [](const Condition& part) { return part.truth != Truth::True; });
  Condition result = bad == parts.end() ? is_true(type) : *bad;
  result.type = type;
  return result;
}

}  // namespace

bool is_stopped(const kube::Object& service) {
  return equals_ignoring_case(kube::annotation_of(service, "serving.kserve.io/stop"), "true");
}

std::vector<Condition> conditions_of(const StatusFacts& facts) {
  std::vector<Condition> all{presets_combined(facts)};
  if (all.front().truth == Truth::True) {
    const auto workloads = workload_conditions(facts);
    const auto router = router_conditions(facts);
    all.insert(all.end(), workloads.begin(), workloads.end());
    all.insert(all.end(), router.begin(), router.end());
    const auto others = notices(facts);
    all.insert(all.end(), others.begin(), others.end());
    const Condition workloads_ready = all_of("WorkloadsReady", workloads);
    const Condition router_ready = all_of("RouterReady", router);
    all.push_back(workloads_ready);
    all.push_back(router_ready);
    all.push_back(all_of("Ready", {all.front(), workloads_ready, router_ready}));
  } else {
    all.push_back(all_of("Ready", {all.front()}));
  }
  std::ranges::sort(all, {}, &Condition::type);
  return all;
}

}  // namespace llmd::operators
