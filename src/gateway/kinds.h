// API kinds the gateway reads beside those of kube/resource.h, and the names it goes by.
#pragma once

#include "kube/resource.h"

namespace llmd::gateway {

inline constexpr std::string_view kGatewayGroup = "gateway.networking.k8s.io";
inline constexpr std::string_view kPoolGroup = "inference.networking.k8s.io";
inline constexpr std::string_view kOlderPoolGroup = "inference.networking.x-k8s.io";

inline constexpr kube::Resource kReferenceGrants{kGatewayGroup, "v1beta1", "referencegrants",
                                                 "ReferenceGrant"};
inline constexpr kube::Resource kPools{kPoolGroup, "v1", "inferencepools", "InferencePool"};
inline constexpr kube::Resource kOlderPools{kOlderPoolGroup, "v1alpha2", "inferencepools", "InferencePool"};
inline constexpr kube::Resource kBackendTlsPolicies{kGatewayGroup, "v1", "backendtlspolicies",
                                                    "BackendTLSPolicy"};
inline constexpr kube::Resource kGrpcRoutes{kGatewayGroup, "v1", "grpcroutes", "GRPCRoute"};
inline constexpr kube::Resource kObjectives{"llm-d.ai", "v1alpha2", "inferenceobjectives",
                                            "InferenceObjective"};
inline constexpr kube::Resource kOlderObjectives{kOlderPoolGroup, "v1alpha2", "inferenceobjectives",
                                                 "InferenceObjective"};

// GatewayClass.spec.controllerName of classes that are ours, and the name under which we write status.
inline constexpr std::string_view kControllerName = "llmd.dev/gateway-controller";

}  // namespace llmd::gateway
