#include "kube/resource.h"

#include <algorithm>
#include <array>

namespace llmd::kube {

std::string Resource::api_version() const {
  std::string text(group);
  if (!text.empty()) {
    text += '/';
  }
  return text += version;
}

std::string Resource::path(std::string_view name_space, std::string_view name) const {
  std::string text = group.empty() ? "/api/" : "/apis/";
  text += api_version();
  if (namespaced && !name_space.empty()) {
    text += "/namespaces/";
    text += name_space;
  }
  text += '/';
  text += plural;
  if (!name.empty()) {
    text += '/';
    text += name;
  }
  return text;
}

std::span<const Resource> known_resources() {
  static constexpr std::array kAll{
      kPods,       kServices,       kConfigMaps,  kSecrets,     kServiceAccounts, kEvents,
      kNamespaces, kNodes,          kDeployments, kReplicaSets, kEndpointSlices,  kLeases,
      kGateways,   kGatewayClasses, kHttpRoutes,  kLlmServices, kLlmConfigs};
  return kAll;
}

const Resource* find_resource(std::string_view api_version, std::string_view kind) {
  const auto all = known_resources();
  const auto found = std::ranges::find_if(all, [&](const Resource& resource) {
    return resource.kind == kind && resource.api_version() == api_version;
  });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace llmd::kube
