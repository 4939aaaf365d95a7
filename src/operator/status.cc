#include "operator/status.h"

#include <boost/json.hpp>

#include <algorithm>

#include "json/value.h"
#include "llmisvc/child_name.h"

namespace llmd::operators {
namespace {

using boost::json::array;
using kube::Object;

std::string_view text_of(Truth truth) {
  return truth == Truth::True ? "True" : truth == Truth::False ? "False" : "Unknown";
}

bool feeds_ready(std::string_view type) {
  return type == "Ready" || type == "WorkloadsReady" || type == "RouterReady";
}

array condition_list(const StatusFacts& facts, const std::string& now) {
  array list;
  for (const Condition& condition : conditions_of(facts)) {
    Object entry{{"type", condition.type}, {"status", text_of(condition.truth)}};
    if (!condition.reason.empty()) {
      entry["reason"] = condition.reason;
    }
    if (!condition.message.empty()) {
      entry["message"] = condition.message;
    }
    if (!feeds_ready(condition.type)) {
      entry["severity"] = "Info";
    }
    const Object* before = kube::find_condition(*facts.object, condition.type);
    const bool same = before != nullptr && kube::find_string(*before, "status") == text_of(condition.truth);
    const auto time = same ? kube::find_string(*before, "lastTransitionTime") : std::string_view();
    entry["lastTransitionTime"] = time.empty() ? now : std::string(time);
    list.emplace_back(std::move(entry));
  }
  return list;
}

Object workload_entry(const Object& workload) {
  const std::string version(kube::api_version_of(workload));
  return {{"apiGroup", version.substr(0, version.find('/'))},
          {"kind", kube::kind_of(workload)},
          {"name", kube::name_of(workload)},
          {"readyReplicas", kube::find_int(workload, "status.availableReplicas",
                                           kube::find_int(workload, "status.readyReplicas", 0))}};
}

Object workloads_entry(const StatusFacts& facts) {
  Object workloads;
  const auto add = [&](const char* key, const Object* workload) {
    if (workload != nullptr) {
      workloads[key] = workload_entry(*workload);
    }
  };
  add("primary", facts.main);
  add("prefill", facts.prefill);
  add("scheduler", facts.scheduler);
  workloads["service"] = {
      {"kind", "Service"},
      {"name", llmisvc::child_name(facts.compiled->service.name, "-kserve-workload-svc")}};
  return workloads;
}

array model_entries(const llmisvc::Service& service, bool bare_names) {
  std::vector<std::string> names{service.model.name};
  for (const auto& adapter : service.model.adapters) {
    names.push_back(adapter.name);
  }
  array models;
  for (const std::string& name : names) {
    models.emplace_back(Object{{"name", fmt::format("publishers/{}/models/{}", service.name_space, name)}});
    if (bare_names) {
      models.emplace_back(Object{{"name", name}});
    }
  }
  return models;
}

array addresses(const StatusFacts& facts) {
  const llmisvc::Service& service = facts.compiled->service;
  if (!facts.url.empty()) {
    return {
        Object{{"models", model_entries(service, true)}, {"name", "gateway-external"}, {"url", facts.url}}};
  }
  if (service.router && service.router->has_route) {
    return {};
  }
  return {Object{{"url", fmt::format("http://{}.{}.svc.{}:8000",
                                     llmisvc::child_name(service.name, "-kserve-workload-svc"),
                                     service.name_space, facts.cluster_domain)}}};
}

array applied_configs(const llmisvc::Compiled& compiled) {
  array list;
  for (const auto& config : compiled.applied) {
    list.emplace_back(Object{{"name", config.name},
                             {"namespace", config.name_space},
                             {"source", config.is_preset ? "Preset" : "UserRef"}});
  }
  return list;
}

Object router_entry(const StatusFacts& facts) {
  array gateways;
  for (const Object* route : facts.routes) {
    const auto* parents = kube::find_array(*route, "spec.parentRefs");
    for (std::size_t i = 0; parents != nullptr && i < parents->size(); ++i) {
      const auto& parent = (*parents)[i].get_object();
      const auto name_space = kube::find_string(parent, "namespace");
      gateways.emplace_back(
          Object{{"group", "gateway.networking.k8s.io"},
                 {"kind", "Gateway"},
                 {"name", kube::find_string(parent, "name")},
                 {"namespace", name_space.empty() ? kube::namespace_of(*route) : name_space},
                 {"httpRoutes", array{Object{{"group", "gateway.networking.k8s.io"},
                                             {"kind", "HTTPRoute"},
                                             {"name", kube::name_of(*route)},
                                             {"namespace", kube::namespace_of(*route)}}}}});
    }
  }
  Object router;
  if (!facts.pools.empty()) {
    const Object& pool = *facts.pools.front();
    const std::string version(kube::api_version_of(pool));
    Object scheduler{{"inferencePool",
                      {{"group", version.substr(0, version.find('/'))},
                       {"kind", "InferencePool"},
                       {"name", kube::name_of(pool)}}}};
    if (facts.scheduler != nullptr) {
      const auto named = kube::find_string(pool, "spec.endpointPickerRef.name");
      const std::string own = llmisvc::child_name(facts.compiled->service.name, "-epp-service");
      scheduler["service"] = {
          {"group", ""}, {"kind", "Service"}, {"name", named.empty() ? own : std::string(named)}};
    }
    router["scheduler"] = std::move(scheduler);
  }
  if (!gateways.empty()) {
    router["gateways"] = std::move(gateways);
  }
  return router;
}

}  // namespace

kube::Object status_of(const StatusFacts& facts, const std::string& now_rfc3339) {
  const llmisvc::Compiled& compiled = *facts.compiled;
  Object status;
  if (!facts.annotations.empty()) {
    status["annotations"] = facts.annotations;
  }
  status["conditions"] = condition_list(facts, now_rfc3339);
  status["observedGeneration"] = kube::generation_of(*facts.object);
  if (llmisvc::has_errors(compiled.findings)) {
    // What runs keeps running and keeps its URL; it is only not what the manifest asks for. Of a service that
    // is stopped nothing runs.
    const bool stopped = is_stopped(*facts.object);
    for (const char* key : {"url", "addresses", "workloads", "router", "appliedConfigs"}) {
      if (stopped != (std::string_view(key) == "appliedConfigs")) {
        continue;
      }
      const auto* old = kube::find(*facts.object, std::string("status.") + key);
      if (old != nullptr) {
        status[key] = *old;
      }
    }
    return status;
  }
  status["appliedConfigs"] = applied_configs(compiled);
  if (compiled.service.stopped) {
    return status;
  }
  status["workloads"] = workloads_entry(facts);
  if (Object router = router_entry(facts); !router.empty()) {
    status["router"] = std::move(router);
  }
  if (array list = addresses(facts); !list.empty()) {
    status["addresses"] = std::move(list);
  }
  if (!facts.url.empty()) {
    status["url"] = facts.url;
  }
  return status;
}

}  // namespace llmd::operators
