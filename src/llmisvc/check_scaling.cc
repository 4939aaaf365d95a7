#include <array>

#include "json/path.h"
#include "llmisvc/check_parts.h"
#include "llmisvc/object_edit.h"

namespace llmd::llmisvc {
namespace {

void add(Findings& findings, std::string path, std::string sentence, std::string fix = {}) {
  findings.push_back(
      {.code = "scaling", .path = std::move(path), .sentence = std::move(sentence), .fix = std::move(fix)});
}

struct Bound {
  std::string_view field;
  long long least;
};

void check_keda(const json::Value& scaling, const std::string& path, long long least_replicas,
                Findings& findings) {
  static constexpr std::array<Bound, 4> kBounds{
      {{"pollingInterval", 1}, {"cooldownPeriod", 0}, {"initialCooldownPeriod", 0}, {"idleReplicaCount", 1}}};
  for (const Bound& bound : kBounds) {
    const auto value = json::int_at(scaling, fmt::format("wva.keda.{}", bound.field));
    if (value && *value < bound.least) {
      add(findings, fmt::format("{}.wva.keda.{}", path, bound.field),
          fmt::format("must be at least {}, got {}", bound.least, *value));
    }
  }
  if (const auto idle = json::int_at(scaling, "wva.keda.idleReplicaCount")) {
    const std::string where = path + ".wva.keda.idleReplicaCount";
    if (!json::int_at(scaling, "minReplicas")) {
      add(findings, where, "needs minReplicas: what is more than idle",
          fmt::format("add minReplicas: {}", *idle + 1));
    } else if (*idle >= least_replicas) {
      add(findings, where, fmt::format("{} must be lower than minReplicas {}", *idle, least_replicas));
    }
  }
  const auto* modifiers = json::object_at(scaling, "wva.keda.advanced.scalingModifiers");
  if (modifiers != nullptr && !modifiers->empty()) {
    add(findings, path + ".wva.keda.advanced.scalingModifiers",
        "the metrics are the autoscaler's; this must be empty", "remove it");
  }
  if (json::string_at(scaling, "wva.keda.advanced.horizontalPodAutoscalerConfig.name").value_or("") != "") {
    add(findings, path + ".wva.keda.advanced.horizontalPodAutoscalerConfig.name",
        "the name is given by the operator", "remove it");
  }
}

std::string_view actuator_of(const Workload& workload) {
  if (!workload.scaling) {
    return {};
  }
  const json::Value scaling(*workload.scaling);
  return json::object_at(scaling, "wva.keda") != nullptr  ? "keda"
         : json::object_at(scaling, "wva.hpa") != nullptr ? "hpa"
                                                          : "";
}

}  // namespace

void check_scaling(const Workload& workload, Findings& findings) {
  if (!workload.scaling) {
    return;
  }
  const json::Value scaling(*workload.scaling);
  const std::string path = workload.path + ".scaling";
  const auto least = json::int_at(scaling, "minReplicas").value_or(1);
  const auto most = json::int_at(scaling, "maxReplicas");
  const bool hpa = json::object_at(scaling, "wva.hpa") != nullptr;
  const bool keda = json::object_at(scaling, "wva.keda") != nullptr;
  if (workload.replicas) {
    add(findings, path, "replicas and scaling exclude each other", "remove replicas");
  }
  if (most && least > *most) {
    add(findings, path + ".minReplicas", fmt::format("{} is more than maxReplicas {}", least, *most));
  }
  if (json::object_at(scaling, "wva") == nullptr) {
    add(findings, path + ".wva", "must be set", "add wva: {hpa: {}} or wva: {keda: {}}");
  } else if (hpa == keda) {
    add(findings, path + ".wva", hpa ? "hpa and keda exclude each other" : "one of hpa and keda must be set",
        hpa ? "keep one of them" : "add hpa: {} or keda: {}");
  }
  if (keda) {
    check_keda(scaling, path, least, findings);
  }
}

void check_actuators(const Service& service, Findings& findings) {
  const std::string_view decode = actuator_of(service.main);
  const std::string_view prefill = service.prefill ? actuator_of(*service.prefill) : std::string_view();
  if (!decode.empty() && !prefill.empty() && decode != prefill) {
    add(findings, "spec.prefill.scaling.wva",
        fmt::format("prefill is scaled by {}, decode by {}", prefill, decode), "use the same for both");
  }
}

}  // namespace llmd::llmisvc
