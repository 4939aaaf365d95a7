#include "apiserver/kinds.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/assert.h"

namespace llmd::apiserver {

namespace {

using kube::Resource;

const std::vector<std::string_view> kPodFields{
    "spec.nodeName",           "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
    "spec.hostNetwork",        "status.phase",       "status.podIP",       "status.podIPs",
    "status.nominatedNodeName"};
const std::vector<std::string_view> kEventFields{"involvedObject.kind",
                                                 "involvedObject.namespace",
                                                 "involvedObject.name",
                                                 "involvedObject.uid",
                                                 "involvedObject.apiVersion",
                                                 "involvedObject.resourceVersion",
                                                 "involvedObject.fieldPath",
                                                 "reason",
                                                 "reportingComponent",
                                                 "source",
                                                 "type"};

std::vector<Subresource> pod_subresources() {
  return {{"attach", "", "", "PodAttachOptions", {"create", "get"}},
          {"binding", "", "", "Binding", {"create"}},
          {"eviction", "policy", "v1", "Eviction", {"create"}},
          {"exec", "", "", "PodExecOptions", {"create", "get"}},
          {"log", "", "", "Pod", {"get"}},
          {"portforward", "", "", "PodPortForwardOptions", {"create", "get"}}};
}

std::vector<Kind> core_kinds() {
  constexpr Resource kEndpoints{"", "v1", "endpoints", "Endpoints"};
  constexpr Resource kQuotas{"", "v1", "resourcequotas", "ResourceQuota"};
  constexpr Resource kLimits{"", "v1", "limitranges", "LimitRange"};
  constexpr Resource kClaims{"", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"};
  constexpr Resource kControllers{"", "v1", "replicationcontrollers", "ReplicationController"};
  std::vector<Kind> kinds{
      {.resource = kube::kConfigMaps, .singular = "configmap", .short_names = {"cm"}, .categories = {}},
      {.resource = kEndpoints, .singular = "endpoints", .short_names = {"ep"}, .categories = {}},
      {.resource = kube::kEvents,
       .singular = "event",
       .short_names = {"ev"},
       .categories = {},
       .fields = kEventFields},
      {.resource = kLimits,
       .singular = "limitrange",
       .short_names = {"limits"},
       .categories = {},
       .read_only = true},
      {.resource = kube::kNamespaces,
       .singular = "namespace",
       .short_names = {"ns"},
       .categories = {},
       .has_status = true,
       .fields = {"status.phase"},
       .more = {{"finalize", "", "", "Namespace", {"update"}}}},
      {.resource = kube::kNodes,
       .singular = "node",
       .short_names = {"no"},
       .categories = {},
       .has_status = true,
       .fields = {"spec.unschedulable"}},
      {.resource = kClaims,
       .singular = "persistentvolumeclaim",
       .short_names = {"pvc"},
       .categories = {},
       .read_only = true},
      {.resource = kube::kPods,
       .singular = "pod",
       .short_names = {"po"},
       .categories = {"all"},
       .has_status = true,
       .has_generation = true,
       .fields = kPodFields,
       .more = pod_subresources()},
      {.resource = kControllers,
       .singular = "replicationcontroller",
       .short_names = {"rc"},
       .categories = {},
       .read_only = true},
      {.resource = kQuotas,
       .singular = "resourcequota",
       .short_names = {"quota"},
       .categories = {},
       .read_only = true},
      {.resource = kube::kSecrets,
       .singular = "secret",
       .short_names = {},
       .categories = {},
       .fields = {"type"}},
      {.resource = kube::kServiceAccounts,
       .singular = "serviceaccount",
       .short_names = {"sa"},
       .categories = {}},
      {.resource = kube::kServices,
       .singular = "service",
       .short_names = {"svc"},
       .categories = {"all"},
       .has_status = true},
  };
  return kinds;
}

std::vector<Kind> workload_kinds() {
  constexpr Resource kRevisions{"apps", "v1", "controllerrevisions", "ControllerRevision"};
  constexpr Resource kDefinitions{"apiextensions.k8s.io", "v1", "customresourcedefinitions",
                                  "CustomResourceDefinition", false};
  constexpr std::string_view kRbac = "rbac.authorization.k8s.io";
  return {
      {.resource = kRevisions, .singular = "controllerrevision", .short_names = {}, .categories = {}},
      {.resource = kube::kDeployments,
       .singular = "deployment",
       .short_names = {"deploy"},
       .categories = {"all"},
       .has_status = true,
       .has_scale = true,
       .has_generation = true},
      {.resource = kube::kReplicaSets,
       .singular = "replicaset",
       .short_names = {"rs"},
       .categories = {"all"},
       .has_status = true,
       .has_scale = true,
       .has_generation = true,
       .fields = {"status.replicas"}},
      {.resource = kube::kLeases, .singular = "lease", .short_names = {}, .categories = {}},
      {.resource = kube::kEndpointSlices, .singular = "endpointslice", .short_names = {}, .categories = {}},
      {.resource = {kRbac, "v1", "clusterrolebindings", "ClusterRoleBinding", false},
       .singular = "clusterrolebinding",
       .short_names = {},
       .categories = {}},
      {.resource = {kRbac, "v1", "clusterroles", "ClusterRole", false},
       .singular = "clusterrole",
       .short_names = {},
       .categories = {}},
      {.resource = {kRbac, "v1", "rolebindings", "RoleBinding"},
       .singular = "rolebinding",
       .short_names = {},
       .categories = {}},
      {.resource = {kRbac, "v1", "roles", "Role"}, .singular = "role", .short_names = {}, .categories = {}},
      {.resource = kDefinitions,
       .singular = "customresourcedefinition",
       .short_names = {"crd", "crds"},
       .categories = {},
       .read_only = true},
  };
}

std::vector<Kind> custom_kinds() {
  // The older names of the inference extension, which KServe 0.16 and its manifests use.
  constexpr std::string_view kOldGroup = "inference.networking.x-k8s.io";
  constexpr Resource kOldPools{kOldGroup, "v1alpha2", "inferencepools", "InferencePool"};
  constexpr Resource kOldModels{kOldGroup, "v1alpha2", "inferencemodels", "InferenceModel"};
  constexpr Resource kOldObjectives{kOldGroup, "v1alpha2", "inferenceobjectives", "InferenceObjective"};
  constexpr Resource kPools{"inference.networking.k8s.io", "v1", "inferencepools", "InferencePool"};
  return {
      {.resource = kube::kGatewayClasses,
       .singular = "gatewayclass",
       .short_names = {"gc"},
       .categories = {"gateway-api"},
       .has_status = true,
       .has_generation = true,
       .custom = true},
      {.resource = kube::kGateways,
       .singular = "gateway",
       .short_names = {"gtw"},
       .categories = {"gateway-api"},
       .has_status = true,
       .has_generation = true,
       .custom = true},
      {.resource = kube::kHttpRoutes,
       .singular = "httproute",
       .short_names = {},
       .categories = {"gateway-api"},
       .has_status = true,
       .has_generation = true,
       .custom = true},
      {.resource = kPools,
       .singular = "inferencepool",
       .short_names = {"infpool"},
       .categories = {},
       .has_status = true,
       .has_generation = true,
       .custom = true},
      {.resource = kOldPools,
       .singular = "inferencepool",
       .has_status = true,
       .has_generation = true,
       .custom = true},
      {.resource = kOldModels,
       .singular = "inferencemodel",
       .short_names = {"infmodel"},
       .has_status = true,
       .has_generation = true,
       .custom = true},
      {.resource = kOldObjectives,
       .singular = "inferenceobjective",
       .short_names = {"infobj"},
       .has_status = true,
       .has_generation = true,
       .custom = true},
      {.resource = kube::kLlmConfigs,
       .singular = "llminferenceserviceconfig",
       .short_names = {},
       .categories = {},
       .has_generation = true,
       .custom = true},
      {.resource = kube::kLlmServices,
       .singular = "llminferenceservice",
       .short_names = {"llmisvc"},
       .categories = {"all"},
       .has_status = true,
       .has_scale = true,
       .has_generation = true,
       .custom = true},
  };
}

std::vector<Kind> all_kinds() {
  std::vector<Kind> kinds = core_kinds();
  std::ranges::move(workload_kinds(), std::back_inserter(kinds));
  std::ranges::move(custom_kinds(), std::back_inserter(kinds));
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    kinds[i].index = i;
    kinds[i].schema = kube::schema_of_kind(kinds[i].resource.kind);
  }
  return kinds;
}

const std::vector<Kind>& table() {
  static const std::vector<Kind> kinds = all_kinds();
  return kinds;
}

}  // namespace

std::vector<std::string_view> Kind::verbs() const {
  if (read_only) {
    return {"get", "list", "watch"};
  }
  return {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"};
}

std::vector<Subresource> Kind::subresources() const {
  std::vector<Subresource> all = more;
  if (has_scale) {
    all.push_back({"scale", "autoscaling", "v1", "Scale", {"get", "patch", "update"}});
  }
  if (has_status) {
    all.push_back({"status", "", "", resource.kind, {"get", "patch", "update"}});
  }
  return all;
}

bool Kind::has_subresource(std::string_view name) const {
  return std::ranges::any_of(subresources(), [&](const Subresource& sub) { return sub.name == name; });
}

std::span<const Kind> served_kinds() {
  return table();
}

const Kind* find_kind(std::string_view group, std::string_view version, std::string_view plural) {
  const auto found = std::ranges::find_if(table(), [&](const Kind& kind) {
    return kind.resource.plural == plural && kind.resource.group == group && kind.resource.version == version;
  });
  return found == table().end() ? nullptr : &*found;
}

const Kind& kind_of(const Resource& resource) {
  const Kind* kind = find_kind(resource.group, resource.version, resource.plural);
  LLMD_ASSERT(kind != nullptr, "asked for a kind that has no row in kinds.cc");
  return *kind;
}

std::string GroupVersion::text() const {
  return group.empty() ? std::string(version) : fmt::format("{}/{}", group, version);
}

std::span<const GroupVersion> served_group_versions() {
  // authentication and authorization have no stored kinds: they answer questions about the caller.
  static const std::vector<GroupVersion> all{{"", "v1"},
                                             {"apps", "v1"},
                                             {"authentication.k8s.io", "v1"},
                                             {"authorization.k8s.io", "v1"},
                                             {"coordination.k8s.io", "v1"},
                                             {"discovery.k8s.io", "v1"},
                                             {"rbac.authorization.k8s.io", "v1"},
                                             {"apiextensions.k8s.io", "v1"},
                                             {"gateway.networking.k8s.io", "v1"},
                                             {"inference.networking.k8s.io", "v1"},
                                             {"inference.networking.x-k8s.io", "v1alpha2"},
                                             {"serving.kserve.io", "v1alpha1"}};
  return all;
}

}  // namespace llmd::apiserver
