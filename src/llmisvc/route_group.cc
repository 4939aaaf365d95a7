#include "llmisvc/route_group.h"

#include <fmt/format.h>

#include <algorithm>

#include "json/path.h"
#include "llmisvc/child_name.h"
#include "llmisvc/labels.h"

namespace llmd::llmisvc {
namespace {

bool is_own_path(const json::Value& rule, const Service& service) {
  const std::string prefix = fmt::format("/{}/{}", service.name_space, service.name);
  const auto* matches = json::array_at(rule, "matches");
  return matches != nullptr && std::ranges::any_of(*matches, [&](const json::Value& match) {
           const auto path = json::string_at(match, "path.value").value_or("");
           return path == prefix || path.starts_with(prefix + "/");
         });
}

bool leads_to(const json::Value& backend, const Service& service) {
  const auto name = json::string_at(backend, "name").value_or("");
  return name == child_name(service.name, "-inference-pool") ||
         name == child_name(service.name, "-kserve-workload-svc");
}

json::Object backend_of(const GroupMember& member, const Facts& facts) {
  json::Object backend{{"port", 8000}, {"weight", member.weight}};
  const bool has_pools = facts.has_inference_pool_v1 || facts.has_inference_pool_v1alpha2;
  if (member.has_pool && has_pools) {
    backend["group"] =
        facts.has_inference_pool_v1 ? "inference.networking.k8s.io" : "inference.networking.x-k8s.io";
    backend["kind"] = "InferencePool";
    backend["name"] = child_name(member.service, "-inference-pool");
  } else {
    backend["group"] = "";
    backend["kind"] = "Service";
    backend["name"] = child_name(member.service, "-kserve-workload-svc");
  }
  return backend;
}

}  // namespace

std::string routing_group(const Service& service) {
  return std::string(json::string_at(json::Value(service.spec), "router.route.group").value_or(""));
}

void add_group_backends(json::Array& rules, const Service& service, const Facts& facts) {
  if (routing_group(service).empty()) {
    return;
  }
  const long long weight = json::int_at(json::Value(service.spec), "router.route.weight").value_or(1);
  for (json::Value& rule : rules) {
    auto* backends = rule.is_object() ? rule.get_object().if_contains("backendRefs") : nullptr;
    if (backends == nullptr || !backends->is_array() || is_own_path(rule, service)) {
      continue;
    }
    json::Array& list = backends->get_array();
    const bool is_managed =
        std::ranges::any_of(list, [&](const json::Value& one) { return leads_to(one, service); });
    if (!is_managed) {
      continue;
    }
    for (json::Value& backend : list) {
      if (leads_to(backend, service)) {
        backend.get_object()["weight"] = weight;
      }
    }
    for (const GroupMember& member : facts.group_members) {
      list.emplace_back(backend_of(member, facts));
    }
  }
}

}  // namespace llmd::llmisvc
