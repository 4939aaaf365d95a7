#include "controllers/controllers.h"

#include <array>

#include "base/clock.h"
#include "controllers/world.h"

namespace llmd::controllers {

kube::Informer& World::informer(const kube::Resource& resource) {
  for (Watched& one : watched) {
    if (one.resource == resource) {
      return *one.informer;
    }
  }
  watched.push_back({resource, std::make_unique<kube::Informer>(loop, client, resource)});
  return *watched.back().informer;
}

std::string World::now() const {
  return to_rfc3339(system_clock().wall_now());
}

std::span<const kube::Resource> collected_resources() {
  static constexpr kube::Resource kPools{"inference.networking.k8s.io", "v1", "inferencepools",
                                         "InferencePool"};
  static constexpr std::string_view kOldGroup = "inference.networking.x-k8s.io";
  static constexpr kube::Resource kOldPools{kOldGroup, "v1alpha2", "inferencepools", "InferencePool"};
  static constexpr kube::Resource kOldModels{kOldGroup, "v1alpha2", "inferencemodels", "InferenceModel"};
  static constexpr kube::Resource kRoles{"rbac.authorization.k8s.io", "v1", "roles", "Role"};
  static constexpr kube::Resource kRoleBindings{"rbac.authorization.k8s.io", "v1", "rolebindings",
                                                "RoleBinding"};
  // Owners before what they own, so that emptying a namespace does not race with their controllers.
  static constexpr std::array kAll{kube::kLlmServices,
                                   kube::kLlmConfigs,
                                   kube::kDeployments,
                                   kube::kReplicaSets,
                                   kube::kPods,
                                   kube::kServices,
                                   kube::kEndpointSlices,
                                   kube::kHttpRoutes,
                                   kube::kGateways,
                                   kPools,
                                   kOldPools,
                                   kOldModels,
                                   kube::kConfigMaps,
                                   kube::kSecrets,
                                   kRoleBindings,
                                   kRoles,
                                   kube::kServiceAccounts,
                                   kube::kLeases};
  return kAll;
}

struct Controllers::State {
  State(async::EventLoop& loop, kube::Client& client) : world(loop, client) {}
  World world;
};

Controllers::Controllers(async::EventLoop& loop, kube::Client& client)
    : state_(std::make_unique<State>(loop, client)) {}
Controllers::~Controllers() = default;

Task<void> Controllers::run() {
  World& world = state_->world;
  std::vector<std::unique_ptr<Part>> parts;
  parts.push_back(make_namespace_controller(world));
  parts.push_back(make_scheduler(world));
  parts.push_back(make_deployment_controller(world));
  parts.push_back(make_replica_set_controller(world));
  parts.push_back(make_endpoint_slice_controller(world));
  parts.push_back(make_garbage_collector(world));
  const std::function<Task<void>(async::Scope&)> body = [&world, &parts](async::Scope& scope) -> Task<void> {
    for (World::Watched& one : world.watched) {
      scope.spawn("informer", one.informer->run());
    }
    for (World::Watched& one : world.watched) {
      co_await one.informer->synced();
    }
    for (const auto& part : parts) {
      scope.spawn("controller", part->run());
    }
    co_await scope.join();
  };
  co_await async::with_scope(world.loop.executor(), body);
}

}  // namespace llmd::controllers
