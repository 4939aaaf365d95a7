// API resources the operator writes beside those that kube/resource.h names.
#pragma once

#include <span>
#include <string_view>

#include "kube/object.h"
#include "kube/resource.h"

namespace llmd::operators {

inline constexpr kube::Resource kRoles{"rbac.authorization.k8s.io", "v1", "roles", "Role"};
inline constexpr kube::Resource kRoleBindings{"rbac.authorization.k8s.io", "v1", "rolebindings",
                                              "RoleBinding"};
inline constexpr kube::Resource kClusterRoleBindings{"rbac.authorization.k8s.io", "v1", "clusterrolebindings",
                                                     "ClusterRoleBinding", false};
inline constexpr kube::Resource kPools{"inference.networking.k8s.io", "v1", "inferencepools",
                                       "InferencePool"};
inline constexpr kube::Resource kOldPools{"inference.networking.x-k8s.io", "v1alpha2", "inferencepools",
                                          "InferencePool"};
inline constexpr kube::Resource kModels{"inference.networking.x-k8s.io", "v1alpha2", "inferencemodels",
                                        "InferenceModel"};
inline constexpr kube::Resource kObjectives{"inference.networking.x-k8s.io", "v1alpha2",
                                            "inferenceobjectives", "InferenceObjective"};
inline constexpr kube::Resource kGroups{"leaderworkerset.x-k8s.io", "v1", "leaderworkersets",
                                        "LeaderWorkerSet"};
inline constexpr kube::Resource kIngresses{"networking.k8s.io", "v1", "ingresses", "Ingress"};

inline constexpr kube::Resource kVariants{"llmd.ai", "v1alpha1", "variantautoscalings", "VariantAutoscaling"};
inline constexpr kube::Resource kAutoscalers{"autoscaling", "v2", "horizontalpodautoscalers",
                                             "HorizontalPodAutoscaler"};
inline constexpr kube::Resource kScaledObjects{"keda.sh", "v1alpha1", "scaledobjects", "ScaledObject"};
inline constexpr kube::Resource kClaimTemplates{"resource.k8s.io", "v1", "resourceclaimtemplates",
                                                "ResourceClaimTemplate"};
inline constexpr kube::Resource kPodMonitors{"monitoring.coreos.com", "v1", "podmonitors", "PodMonitor"};
inline constexpr kube::Resource kServiceMonitors{"monitoring.coreos.com", "v1", "servicemonitors",
                                                 "ServiceMonitor"};

// Namespaced kinds that are not watched: looked up when a service's generation changes.
std::span<const kube::Resource> unwatched_resources();

// Kinds whose definitions not every cluster installs.
std::span<const kube::Resource> optional_resources();

// The resource of a rendered object; null when the operator does not know the kind.
const kube::Resource* resource_of(const kube::Object& object);

}  // namespace llmd::operators
