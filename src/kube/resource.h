// Which API resource: group, version, plural. The kinds this product touches are named constants.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace llmd::kube {

struct Resource {
  std::string_view group;  // "" for core
  std::string_view version;
  std::string_view plural;
  std::string_view kind;
  bool namespaced = true;

  std::string api_version() const;  // "v1", "apps/v1"
  // "/apis/apps/v1/namespaces/default/deployments/x"; empty namespace: all namespaces; empty name: the
  // collection.
  std::string path(std::string_view name_space, std::string_view name = {}) const;
  bool operator==(const Resource&) const = default;
};

inline constexpr Resource kPods{"", "v1", "pods", "Pod"};
inline constexpr Resource kServices{"", "v1", "services", "Service"};
inline constexpr Resource kConfigMaps{"", "v1", "configmaps", "ConfigMap"};
inline constexpr Resource kSecrets{"", "v1", "secrets", "Secret"};
inline constexpr Resource kServiceAccounts{"", "v1", "serviceaccounts", "ServiceAccount"};
inline constexpr Resource kEvents{"", "v1", "events", "Event"};
inline constexpr Resource kNamespaces{"", "v1", "namespaces", "Namespace", false};
inline constexpr Resource kNodes{"", "v1", "nodes", "Node", false};
inline constexpr Resource kDeployments{"apps", "v1", "deployments", "Deployment"};
inline constexpr Resource kReplicaSets{"apps", "v1", "replicasets", "ReplicaSet"};
inline constexpr Resource kEndpointSlices{"discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"};
inline constexpr Resource kLeases{"coordination.k8s.io", "v1", "leases", "Lease"};
inline constexpr Resource kGateways{"gateway.networking.k8s.io", "v1", "gateways", "Gateway"};
inline constexpr Resource kGatewayClasses{"gateway.networking.k8s.io", "v1", "gatewayclasses", "GatewayClass",
                                          false};
inline constexpr Resource kHttpRoutes{"gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute"};
inline constexpr Resource kLlmServices{"serving.kserve.io", "v1alpha1", "llminferenceservices",
                                       "LLMInferenceService"};
inline constexpr Resource kLlmConfigs{"serving.kserve.io", "v1alpha1", "llminferenceserviceconfigs",
                                      "LLMInferenceServiceConfig"};

// All of the above.
std::span<const Resource> known_resources();
// By apiVersion and kind, as manifests name them; null when unknown.
const Resource* find_resource(std::string_view api_version, std::string_view kind);

}  // namespace llmd::kube
