// `decode` and `prefill` of a values file.
#include <algorithm>
#include <array>

#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/labels.h"
#include "llmisvc/object_edit.h"
#include "llmisvc/pod_edit.h"
#include "llmisvc/values_parts.h"

namespace llmd::llmisvc {
namespace {

// Keys of a role that are fields of the pod, some of which older charts take only from extraConfig.
constexpr std::array<std::string_view, 13> kPodFields{"nodeSelector",
                                                      "tolerations",
                                                      "affinity",
                                                      "runtimeClassName",
                                                      "securityContext",
                                                      "hostIPC",
                                                      "hostPID",
                                                      "enableServiceLinks",
                                                      "imagePullSecrets",
                                                      "terminationGracePeriodSeconds",
                                                      "hostNetwork",
                                                      "dnsPolicy",
                                                      "topologySpreadConstraints"};

// Chart 0.3.14 made the defaults 1, which hides what follows from the others; what is stated counts here.
json::Object convert_parallelism(ValuesReader& values, const std::string& role) {
  const std::string base = role + ".parallelism.";
  const auto tensor = values.integer(base + "tensor");
  auto data = values.integer(base + "data");
  auto local = values.integer(base + "dataLocal");
  auto workers = values.integer(base + "workers");
  if (!data && (local || workers)) {
    data = local.value_or(1) * workers.value_or(1);
  }
  if (data && !local) {
    local = workers && *workers > 0 ? *data / *workers : *data;
  }
  if (data && local && workers && *local * *workers != *data) {
    values.skipped(base + "workers",
                   fmt::format("{} pods of {} copies are not {} copies", *workers, *local, *data),
                   "data must be dataLocal x workers", Severity::Error);
  }
  json::Object parallelism;
  if (tensor) {
    parallelism["tensor"] = *tensor;
  }
  const bool in_groups = workers.value_or(1) > 1;
  if (data && (*data > 1 || in_groups)) {
    parallelism["data"] = *data;
    parallelism["dataLocal"] = *local;
  }
  return parallelism;
}

void convert_scheduling(ValuesReader& values, const ValuesContext& context, const std::string& role,
                        json::Object& pod) {
  for (const std::string_view field : kPodFields) {
    if (const auto* value = values.take(fmt::format("{}.{}", role, field))) {
      member(pod, field) = *value;
    }
  }
  if (const auto* value = values.take(role + ".podSecurityContext")) {
    pod["securityContext"] = *value;
  }
  const std::string priority = values.text(role + ".priorityClassName");
  if (!priority.empty() && priority != "none") {
    pod["priorityClassName"] = text_value(priority);
  }
  const std::string scheduler = values.text(role + ".schedulerName");
  if (!scheduler.empty() || !context.scheduler_name.empty()) {
    pod["schedulerName"] = text_value(scheduler.empty() ? context.scheduler_name : scheduler);
  }
  if (!context.service_account.empty()) {
    pod["serviceAccountName"] = text_value(context.service_account);
  }
  const std::string label = values.text(role + ".acceleratorTypes.labelKey");
  const auto* types = values.take(role + ".acceleratorTypes.labelValues");
  if (!label.empty() && types != nullptr && types->is_array()) {
    const json::Object term{
        {"matchExpressions",
         json::Array{json::Object{{"key", text_value(label)}, {"operator", "In"}, {"values", *types}}}}};
    json::Object& affinity = object_member(object_member(pod, "affinity"), "nodeAffinity");
    affinity["requiredDuringSchedulingIgnoredDuringExecution"] =
        json::Object{{"nodeSelectorTerms", json::Array{term}}};
  }
}

// Containers beside the engine, without the keys that only the chart knows.
void convert_other_containers(ValuesReader& values, const std::string& role, json::Array& containers) {
  const auto* list = values.look(role + ".containers");
  const std::size_t count = list != nullptr && list->is_array() ? list->get_array().size() : 0;
  for (std::size_t i = 1; i < count; ++i) {
    const std::string path = fmt::format("{}.containers[{}]", role, i);
    const auto* value = values.take(path);
    if (value == nullptr || !value->is_object()) {
      continue;
    }
    json::Object container = value->get_object();
    for (const char* key : {"modelCommand", "mountModelVolume", "extraConfig"}) {
      container.stable_erase(key);
    }
    if (const auto* extra = value->get_object().if_contains("extraConfig");
        extra != nullptr && extra->is_object()) {
      merge_extra(container, extra->get_object(), path + ".extraConfig", values);
    }
    containers.emplace_back(std::move(container));
  }
}

json::Object model_volume(const ValuesContext& context) {
  if (context.uri.starts_with("pvc")) {
    const std::string rest = context.uri.substr(context.uri.find("://") + 3);
    return {{"persistentVolumeClaim", {{"claimName", text_value(rest.substr(0, rest.find('/')))}}}};
  }
  if (context.uri.starts_with("oci://")) {
    return {{"image", {{"reference", text_value(context.uri.substr(6))}, {"pullPolicy", "Always"}}}};
  }
  json::Object folder;
  if (!context.size_limit.empty()) {
    folder["sizeLimit"] = text_value(context.size_limit);
  }
  return {{"emptyDir", std::move(folder)}};
}

bool mounts(const json::Object& pod, std::string_view volume) {
  const auto* containers = pod.if_contains("containers");
  return containers != nullptr && containers->is_array() &&
         std::ranges::any_of(containers->get_array(), [&](const json::Value& container) {
           const auto* list = json::array_at(container, "volumeMounts");
           return list != nullptr && std::ranges::any_of(*list, [&](const json::Value& mount) {
                    return json::string_at(mount, "name").value_or("") == volume;
                  });
         });
}

void convert_volumes(ValuesReader& values, const ValuesContext& context, const std::string& role,
                     json::Object& pod) {
  if (const auto* volumes = values.take(role + ".volumes"); volumes != nullptr && volumes->is_array()) {
    json::Array kept;
    for (const json::Value& volume : volumes->get_array()) {
      // The chart's own default, which nothing mounts.
      if (json::string_at(volume, "name").value_or("") != "metrics-volume" || mounts(pod, "metrics-volume")) {
        kept.push_back(volume);
      }
    }
    if (!kept.empty()) {
      pod["volumes"] = std::move(kept);
    }
  }
  if (mounts(pod, "model-storage")) {
    add_volume(pod, "model-storage", model_volume(context));
  }
  if (!context.own_launch && context.uri.starts_with("hf://") && !context.size_limit.empty()) {
    add_volume(pod, "kserve-provision-location", {{"emptyDir", {{"sizeLimit", context.size_limit}}}});
  }
}

void convert_init_containers(ValuesReader& values, const ValuesContext& context, const std::string& role,
                             json::Object& pod) {
  json::Array list;
  if (role == "decode" && context.has_prefill) {
    if (auto proxy = convert_proxy(values, context)) {
      list.emplace_back(std::move(*proxy));
    }
  }
  if (!context.secret.empty() && !context.own_launch && context.uri.starts_with("hf://")) {
    list.push_back(json::Object{
        {"name", "storage-initializer"},
        {"env", json::Array{json::Object{
                    {"name", "HF_TOKEN"},
                    {"valueFrom", {{"secretKeyRef", {{"name", context.secret}, {"key", "HF_TOKEN"}}}}}}}}});
  }
  if (const auto* own = values.take(role + ".initContainers"); own != nullptr && own->is_array()) {
    for (const json::Value& container : own->get_array()) {
      list.push_back(container);
    }
  }
  if (!list.empty()) {
    pod["initContainers"] = std::move(list);
  }
}

void convert_claims(ValuesReader& values, const std::string& role, json::Object& pod) {
  const auto* claims = values.take(role + ".resourceClaims");
  if (claims == nullptr || !claims->is_array()) {
    return;
  }
  pod["resourceClaims"] = *claims;
  json::Array names;
  for (const json::Value& claim : claims->get_array()) {
    names.push_back(json::Object{{"name", text_value(json::string_at(claim, "name").value_or(""))}});
  }
  if (json::Object* main = find_container(pod, "main")) {
    object_member(*main, "resources")["claims"] = std::move(names);
  }
}

void list_the_rest(ValuesReader& values, const std::string& role) {
  const auto skip_if_set = [&](std::string_view key, std::string_view why, std::string_view fix) {
    const std::string path = fmt::format("{}.{}", role, key);
    if (values.look(path) != nullptr) {
      values.skipped(path, std::string(why), std::string(fix));
    }
  };
  skip_if_set("strategy", "how Deployments roll is not part of a LLMInferenceService", "");
  skip_if_set("annotations", "annotations of the Deployment; spec.annotations are the pods'",
              "move them to podAnnotations if pods should have them");
  skip_if_set("subGroupPolicy", "groups have no sub-groups here", "");
  skip_if_set("subGroupExclusiveTopology", "groups have no sub-groups here", "");
  if (values.flag(role + ".monitoring.podmonitor.enabled").value_or(false)) {
    values.skipped(role + ".monitoring.podmonitor", "no PodMonitor is made from a service",
                   "write one that selects app.kubernetes.io/name");
  } else {
    values.done(role + ".monitoring");
  }
}

}  // namespace

void merge_extra(json::Object& into, const json::Object& from, const std::string& path,
                 ValuesReader& values) {
  for (const auto& entry : from) {
    const std::string_view name = key_view(entry);
    auto* there = into.if_contains(entry.key());
    if (there == nullptr || there->is_null()) {
      into[entry.key()] = entry.value();
    } else if (there->is_object() && entry.value().is_object()) {
      merge_extra(there->get_object(), entry.value().get_object(), json::path_member(path, name), values);
    } else if (there->is_array() && entry.value().is_array()) {
      for (const json::Value& item : entry.value().get_array()) {
        const auto* object = item.if_object();
        object != nullptr && object->contains("name") ? add_keyed(into, name, "name", *object)
                                                      : void(there->get_array().push_back(item));
      }
    } else if (*there != entry.value()) {
      values.skipped(json::path_member(path, name), "also set outside of extraConfig, which wins");
    }
  }
}

json::Object convert_role(ValuesReader& values, const ValuesContext& context, const std::string& role,
                          std::string& served_name) {
  json::Object workload;
  auto replicas = values.integer(role + ".replicas");
  if (values.flag(role + ".create") == false) {
    values.skipped(role + ".create", "a service always has its main pods; there are none of them",
                   "give the service replicas when it should serve");
    replicas = 0;
  }
  if (values.flag(role + ".autoscaling.enabled").value_or(false)) {
    values.skipped(role + ".autoscaling.enabled",
                   "replicas are left to the autoscaler, which is not described here",
                   "add scaling: {maxReplicas: N, wva: {hpa: {}}} to the service");
  } else {
    workload["replicas"] = replicas.value_or(1);
  }
  json::Object parallelism = convert_parallelism(values, role);
  json::Object pod;
  json::Array containers;
  const auto* list = values.look(role + ".containers");
  if (list != nullptr && list->is_array() && !list->get_array().empty()) {
    containers.emplace_back(convert_engine(values, context, role, parallelism, served_name));
    convert_other_containers(values, role, containers);
  }
  if (!parallelism.empty()) {
    workload["parallelism"] = std::move(parallelism);
  }
  if (const auto* annotations = values.take(role + ".podAnnotations"); annotations != nullptr) {
    workload["annotations"] = *annotations;
  }
  convert_scheduling(values, context, role, pod);
  convert_init_containers(values, context, role, pod);
  if (!containers.empty()) {
    pod["containers"] = std::move(containers);
  }
  convert_volumes(values, context, role, pod);
  convert_claims(values, role, pod);
  if (const auto* extra = values.take(role + ".extraConfig"); extra != nullptr && extra->is_object()) {
    merge_extra(pod, extra->get_object(), role + ".extraConfig", values);
  }
  list_the_rest(values, role);
  if (context.multinode) {
    workload["worker"] = pod;
    workload["worker"].get_object().stable_erase("initContainers");
    json::Object& spread = object_member(workload, "parallelism");
    if (!spread.contains("data")) {
      spread["data"] = 1;
      spread["dataLocal"] = 1;
    }
  }
  workload["template"] = std::move(pod);
  return workload;
}

}  // namespace llmd::llmisvc
