// Deployments for workloads of single pods, LeaderWorkerSets for groups of pods.
#include <span>

#include "json/path.h"
#include "llmisvc/accelerators.h"
#include "llmisvc/child_name.h"
#include "llmisvc/labels.h"
#include "llmisvc/render_parts.h"
#include "llmisvc/render_pod.h"

namespace llmd::llmisvc {
namespace {

// Prefixes of the service's own metadata that go on to workloads and pods.
constexpr std::string_view kAnnotationPrefixes[] = {"k8s.v1.cni.cncf.io", "kueue.x-k8s.io", "prometheus.io",
                                                    "internal.serving.kserve.io/localmodel"};
constexpr std::string_view kLabelPrefixes[] = {"kueue.x-k8s.io", "internal.serving.kserve.io/localmodel"};

std::string_view key_of(const boost::json::key_value_pair& member) {
  return {member.key().data(), member.key().size()};
}

void copy_metadata(const Service& service, const char* which, std::span<const std::string_view> prefixes,
                   json::Object& into) {
  const auto* source = service.metadata.if_contains(which);
  if (source == nullptr || !source->is_object()) {
    return;
  }
  for (const auto& member : source->get_object()) {
    for (const std::string_view prefix : prefixes) {
      if (key_of(member).starts_with(prefix)) {
        into[member.key()] = member.value();
      }
    }
  }
}

struct PodMetadata {
  json::Object labels;
  json::Object annotations;
};

PodMetadata pod_metadata(const Service& service, const Workload& workload, json::Object labels) {
  PodMetadata metadata{.labels = std::move(labels), .annotations = {}};
  copy_metadata(service, "labels", kLabelPrefixes, metadata.labels);
  copy_metadata(service, "annotations", kAnnotationPrefixes, metadata.annotations);
  for (const auto& member : workload.labels) {
    metadata.labels[member.key()] = member.value();
  }
  for (const auto& member : workload.annotations) {
    if (key_of(member) != kModelRouting) {
      metadata.annotations[member.key()] = member.value();
    }
  }
  return metadata;
}

json::Object pod_template(PodMetadata metadata, json::Object pod) {
  json::Object meta{{"labels", std::move(metadata.labels)}};
  if (!metadata.annotations.empty()) {
    meta["annotations"] = std::move(metadata.annotations);
  }
  return {{"metadata", std::move(meta)}, {"spec", std::move(pod)}};
}

std::string_view role_of(const Service& service, const Workload& workload) {
  if (&workload != &service.main) {
    return "prefill";
  }
  return service.prefill ? "decode" : "both";
}

// Selectors are immutable, so this one holds only what never changes: not the role, not the user's labels.
json::Object selector(const Service& service, std::string_view component) {
  json::Object labels = labels_of(service, component);
  labels["kserve.io/component"] = "workload";
  return {{"matchLabels", std::move(labels)}};
}

Result<void> render_deployment(const Service& service, const Facts& facts, const Workload& workload,
                               Objects& objects) {
  const bool is_main = &workload == &service.main;
  const std::string_view component = is_main ? kWorkload : kPrefill;
  const std::string name = child_name(service.name, is_main ? "-kserve" : "-kserve-prefill");
  const bool sidecar = workload.pod && has_routing_sidecar(*workload.pod);
  const bool own_account = sidecar && !workload.pod->contains("serviceAccountName");
  const std::string account = child_name(service.name, "-kserve");
  LLMD_TRY(json::Object pod, render_pod({.service = service,
                                         .facts = facts,
                                         .workload = workload,
                                         .service_account = own_account ? account : std::string()}));
  if (sidecar) {
    const std::string used(json::string_at(json::Value(pod), "serviceAccountName").value_or(""));
    render_reader_account(service, facts, own_account ? "-kserve" : "", true, used, objects);
  }
  json::Object labels = labels_of(service, component);
  add_pool_labels(labels, role_of(service, workload));
  json::Object deployment = child(service, "apps/v1", "Deployment", name, labels);
  json::Object spec;
  if (workload.replicas) {
    spec["replicas"] = *workload.replicas;
  } else if (workload.scaling && facts.platform == Platform::Local) {
    // Nobody scales on one machine.
    spec["replicas"] = json::int_at(json::Value(*workload.scaling), "minReplicas").value_or(1);
  }
  spec["selector"] = selector(service, component);
  spec["template"] = pod_template(pod_metadata(service, workload, std::move(labels)), std::move(pod));
  deployment["spec"] = std::move(spec);
  objects.push_back(std::move(deployment));
  return {};
}

Result<json::Object> group_pod(const Service& service, const Facts& facts, const Workload& workload,
                               PodRole role, const std::string& account) {
  return render_pod({.service = service,
                     .facts = facts,
                     .workload = workload,
                     .role = role,
                     .group_size = group_size_of(workload),
                     .service_account = account});
}

Result<void> render_group(const Service& service, const Facts& facts, const Workload& workload,
                          Objects& objects) {
  const bool is_main = &workload == &service.main;
  const std::string name = child_name(service.name, is_main ? "-kserve-mn" : "-kserve-mn-prefill");
  LLMD_TRY(json::Object leader, group_pod(service, facts, workload, PodRole::Leader, name));
  LLMD_TRY(json::Object worker, group_pod(service, facts, workload, PodRole::Worker, name));
  const std::string used(json::string_at(json::Value(leader), "serviceAccountName").value_or(""));
  render_reader_account(service, facts, used == name ? (is_main ? "-kserve-mn" : "-kserve-mn-prefill") : "",
                        has_routing_sidecar(leader), used, objects);

  json::Object leader_labels = labels_of(service, is_main ? kLeader : kPrefillLeader);
  add_pool_labels(leader_labels, role_of(service, workload));
  json::Object worker_labels = labels_of(service, is_main ? kWorker : kPrefillWorker);
  json::Object set = child(service, "leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet", name, worker_labels);
  json::Object group{
      {"leaderTemplate",
       pod_template(pod_metadata(service, workload, std::move(leader_labels)), std::move(leader))},
      {"restartPolicy", "RecreateGroupOnPodRestart"},
      {"size", group_size_of(workload)},
      {"workerTemplate",
       pod_template(pod_metadata(service, workload, std::move(worker_labels)), std::move(worker))}};
  if (!is_main && workload.parallelism.is_data_parallel()) {
    // One accelerator domain per group of prefill pods.
    group["subGroupPolicy"] = {{"subGroupSize", group_size_of(workload)}};
  }
  json::Object spec{{"leaderWorkerTemplate", std::move(group)}};
  if (workload.replicas) {
    spec["replicas"] = *workload.replicas;
  }
  spec["rolloutStrategy"] = {{"type", "RollingUpdate"}};
  spec["startupPolicy"] = "LeaderCreated";
  set["spec"] = std::move(spec);
  objects.push_back(std::move(set));
  return {};
}

}  // namespace

Result<void> render_workloads(const Service& service, const Facts& facts, Objects& objects) {
  LLMD_TRY_VOID(service.main.worker ? render_group(service, facts, service.main, objects)
                                    : render_deployment(service, facts, service.main, objects));
  if (!service.prefill) {
    return {};
  }
  return service.prefill->worker ? render_group(service, facts, *service.prefill, objects)
                                 : render_deployment(service, facts, *service.prefill, objects);
}

}  // namespace llmd::llmisvc
