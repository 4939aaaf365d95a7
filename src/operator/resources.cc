#include "operator/resources.h"

#include <array>

#include "kube/object.h"

namespace llmd::operators {
namespace {

constexpr std::array kUnwatched{
    kube::kServiceAccounts, kRoles,       kRoleBindings,   kModels, kObjectives, kIngresses, kVariants,
    kClaimTemplates,        kPodMonitors, kServiceMonitors};
// Watched, and not among those of kube/resource.h.
constexpr std::array kWatched{kGroups, kPools, kOldPools, kAutoscalers, kScaledObjects};
constexpr std::array kOptional{kGroups,      kPools,           kOldPools,        kModels,
                               kObjectives,  kVariants,        kScaledObjects,   kClaimTemplates,
                               kPodMonitors, kServiceMonitors, kube::kHttpRoutes};

}  // namespace

std::span<const kube::Resource> unwatched_resources() {
  return kUnwatched;
}

std::span<const kube::Resource> optional_resources() {
  return kOptional;
}

const kube::Resource* resource_of(const kube::Object& object) {
  const std::string_view version = kube::api_version_of(object);
  const std::string_view kind = kube::kind_of(object);
  for (const kube::Resource& resource : kUnwatched) {
    if (resource.kind == kind && resource.api_version() == version) {
      return &resource;
    }
  }
  for (const kube::Resource& resource : kWatched) {
    if (resource.kind == kind && resource.api_version() == version) {
      return &resource;
    }
  }
  if (kind == kClusterRoleBindings.kind && version == kClusterRoleBindings.api_version()) {
    return &kClusterRoleBindings;
  }
  return kube::find_resource(version, kind);
}

}  // namespace llmd::operators
