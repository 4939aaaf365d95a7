// Autoscaling: what the variant autoscaler decides about (VariantAutoscaling), and who acts on its wish for
// replicas (HorizontalPodAutoscaler or KEDA's ScaledObject). Its wish is the metric wva_desired_replicas.
#include <fmt/format.h>

#include "json/path.h"
#include "llmisvc/child_name.h"
#include "llmisvc/labels.h"
#include "llmisvc/render_parts.h"

namespace llmd::llmisvc {
namespace {

struct Target {
  const Service& service;
  const Workload& workload;
  json::Value scaling;
  bool is_main;

  std::string name(std::string_view kind) const {
    return child_name(service.name, fmt::format("-kserve{}-{}", is_main ? "" : "-prefill", kind));
  }
  json::Object reference() const {
    if (workload.worker) {
      return {{"apiVersion", "leaderworkerset.x-k8s.io/v1"},
              {"kind", "LeaderWorkerSet"},
              {"name", child_name(service.name, is_main ? "-kserve-mn" : "-kserve-mn-prefill")}};
    }
    return {{"apiVersion", "apps/v1"},
            {"kind", "Deployment"},
            {"name", child_name(service.name, is_main ? "-kserve" : "-kserve-prefill")}};
  }
  long long least() const { return json::int_at(scaling, "minReplicas").value_or(1); }
  long long most() const { return json::int_at(scaling, "maxReplicas").value_or(least()); }
};

json::Object variant(const Target& target) {
  json::Object labels = labels_of(target.service, kWorkload);
  const auto* accelerator = target.workload.labels.if_contains("inference.optimization/acceleratorName");
  labels["inference.optimization/acceleratorName"] =
      accelerator != nullptr ? *accelerator : json::Value("unknown");
  json::Object object =
      child(target.service, "llmd.ai/v1alpha1", "VariantAutoscaling", target.name("va"), std::move(labels));
  const Model& model = target.service.model;
  object["spec"] = {
      {"maxReplicas", target.most()},
      {"minReplicas", target.least()},
      {"modelID", model.name.empty() ? model.uri : model.name},
      {"scaleTargetRef", target.reference()},
      {"variantCost", text_value(json::string_at(target.scaling, "wva.variantCost").value_or("10.0"))}};
  return object;
}

json::Object autoscaler(const Target& target, const json::Object& hpa) {
  const json::Object metric{{"external",
                             {{"metric",
                               {{"name", "wva_desired_replicas"},
                                {"selector", {{"matchLabels", {{"variant_name", target.name("va")}}}}}}},
                              {"target", {{"type", "Value"}, {"value", "1"}}}}},
                            {"type", "External"}};
  json::Object spec{{"maxReplicas", target.most()},
                    {"metrics", json::Array{metric}},
                    {"minReplicas", target.least()},
                    {"scaleTargetRef", target.reference()}};
  if (const auto* behavior = hpa.if_contains("behavior")) {
    spec["behavior"] = *behavior;
  }
  json::Object object = child(target.service, "autoscaling/v2", "HorizontalPodAutoscaler", target.name("hpa"),
                              labels_of(target.service, kWorkload));
  object["spec"] = std::move(spec);
  return object;
}

json::Object trigger(const Target& target, const Prometheus& prometheus) {
  json::Object metadata{
      {"query", fmt::format(R"(wva_desired_replicas{{variant_name="{}",exported_namespace="{}"}})",
                            target.name("va"), target.service.name_space)},
      {"serverAddress", prometheus.url},
      {"threshold", "1"}};
  if (prometheus.skips_verification) {
    metadata["unsafeSsl"] = "true";
  }
  if (!prometheus.auth_modes.empty()) {
    metadata["authModes"] = prometheus.auth_modes;
  }
  json::Object object{
      {"metadata", std::move(metadata)}, {"name", "wva-desired-replicas"}, {"type", "prometheus"}};
  if (!prometheus.trigger_name.empty()) {
    object["authenticationRef"] = {{"kind", prometheus.trigger_kind}, {"name", prometheus.trigger_name}};
  }
  return object;
}

json::Object scaled_object(const Target& target, const json::Object& keda, const Prometheus& prometheus) {
  json::Object spec{{"maxReplicaCount", target.most()},
                    {"minReplicaCount", target.least()},
                    {"scaleTargetRef", target.reference()},
                    {"triggers", json::Array{trigger(target, prometheus)}}};
  for (const char* field : {"pollingInterval", "cooldownPeriod", "initialCooldownPeriod", "idleReplicaCount",
                            "fallback", "advanced"}) {
    if (const auto* value = keda.if_contains(field)) {
      spec[field] = *value;
    }
  }
  json::Object object = child(target.service, "keda.sh/v1alpha1", "ScaledObject", target.name("keda"),
                              labels_of(target.service, kWorkload));
  object["spec"] = std::move(spec);
  return object;
}

void render_for(const Service& service, const Workload& workload, const Facts& facts, Objects& objects) {
  if (!workload.scaling) {
    return;
  }
  const Target target{.service = service,
                      .workload = workload,
                      .scaling = json::Value(*workload.scaling),
                      .is_main = &workload == &service.main};
  if (json::object_at(target.scaling, "wva") == nullptr) {
    return;
  }
  objects.push_back(variant(target));
  if (const auto* hpa = json::object_at(target.scaling, "wva.hpa")) {
    objects.push_back(autoscaler(target, *hpa));
  } else if (const auto* keda = json::object_at(target.scaling, "wva.keda")) {
    objects.push_back(scaled_object(target, *keda, facts.prometheus));
  }
}

}  // namespace

void render_scaling(const Service& service, const Facts& facts, Objects& objects) {
  if (facts.platform == Platform::Local) {
    return;  // nobody scales there: the least number of replicas runs
  }
  render_for(service, service.main, facts, objects);
  if (service.prefill) {
    render_for(service, *service.prefill, facts, objects);
  }
}

}  // namespace llmd::llmisvc
