// The status that objects should have. Private to gateway.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "gateway/backends.h"
#include "gateway/listeners.h"

namespace llmd::gateway {

std::optional<StatusChange> gateway_status(const GatewayState& gateway, const BuildOptions& options);
std::optional<StatusChange> class_status(const kube::Object& gateway_class, const BuildOptions& options);

// What else is known about a route than its parents: the same for each of them.
struct RouteFindings {
  Condition resolved{"ResolvedRefs", true, "ResolvedRefs", {}};
  std::optional<Condition> accepted;           // set: the route cannot be served by any parent
  std::optional<Condition> partially_invalid;  // some rules are left out
};
std::optional<StatusChange> route_status(const kube::Object& route, const std::vector<ParentState>& parents,
                                         const RouteFindings& findings, const BuildOptions& options);

// `gateways`: those whose routes lead to a Service that the policy names.
std::optional<StatusChange> policy_status(const BackendTlsPolicy& policy,
                                          const std::vector<const kube::Object*>& gateways,
                                          const BuildOptions& options);

// `gateways`: those whose routes lead to the pool.
std::optional<StatusChange> pool_status(const kube::Resource& resource, const kube::Object& pool,
                                        const std::vector<const kube::Object*>& gateways,
                                        const PoolPicker& picker, const BuildOptions& options);

}  // namespace llmd::gateway
