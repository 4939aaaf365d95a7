#include "gateway/lookup.h"

#include <algorithm>

#include "gateway/fields.h"
#include "gateway/kinds.h"

namespace llmd::gateway {

using kube::find_string;

bool RouteObjects::add(const kube::Object& object) {
  const std::string_view version = kube::api_version_of(object);
  const std::string_view group =
      version.find('/') == version.npos ? std::string_view() : version.substr(0, version.find('/'));
  const std::pair<std::string_view, std::vector<const kube::Object*>*> kinds[] = {
      {kube::kGatewayClasses.kind, &gateway_classes},
      {kube::kGateways.kind, &gateways},
      {kube::kHttpRoutes.kind, &http_routes},
      {kGrpcRoutes.kind, &grpc_routes},
      {kReferenceGrants.kind, &reference_grants},
      {kube::kServices.kind, &services},
      {kube::kEndpointSlices.kind, &endpoint_slices},
      {kPools.kind, group == kOlderPoolGroup ? &older_pools : &pools},
      {kube::kPods.kind, &pods},
      {kBackendTlsPolicies.kind, &backend_tls_policies},
      {kube::kConfigMaps.kind, &config_maps},
      {kube::kSecrets.kind, &secrets},
      {kube::kNamespaces.kind, &namespaces},
      {kObjectives.kind, &objectives},
      {kube::kLlmServices.kind, &llm_services},
  };
  const auto found =
      std::ranges::find(kinds, kube::kind_of(object), [](const auto& each) { return each.first; });
  if (found == std::end(kinds)) {
    return false;
  }
  found->second->push_back(&object);
  return true;
}

Lookup::Lookup(const RouteObjects& objects) {
  const auto by_name = [](const std::vector<const kube::Object*>& all, ByName& into) {
    for (const kube::Object* object : all) {
      into.emplace(Key(kube::namespace_of(*object), kube::name_of(*object)), object);
    }
  };
  by_name(objects.services, services_);
  by_name(objects.secrets, secrets_);
  by_name(objects.namespaces, namespaces_);
  by_name(objects.pools, pools_);
  by_name(objects.older_pools, older_pools_);
  for (const kube::Object* slice : objects.endpoint_slices) {
    slices_.emplace(Key(kube::namespace_of(*slice), kube::label_of(*slice, "kubernetes.io/service-name")),
                    slice);
  }
  for (const kube::Object* grant : objects.reference_grants) {
    grants_.emplace(kube::namespace_of(*grant), grant);
  }
}

const kube::Object* Lookup::find(const ByName& all, Key key) {
  const auto found = all.find(key);
  return found == all.end() ? nullptr : found->second;
}

const kube::Object* Lookup::service(std::string_view name_space, std::string_view name) const {
  return find(services_, {name_space, name});
}

const kube::Object* Lookup::secret(std::string_view name_space, std::string_view name) const {
  return find(secrets_, {name_space, name});
}

const kube::Object* Lookup::name_space(std::string_view name) const {
  return find(namespaces_, {std::string_view(), name});
}

const kube::Object* Lookup::pool(std::string_view group, std::string_view name_space,
                                 std::string_view name) const {
  return find(group == kOlderPoolGroup ? older_pools_ : pools_, {name_space, name});
}

std::vector<const kube::Object*> Lookup::slices(std::string_view name_space, std::string_view service) const {
  std::vector<const kube::Object*> found;
  const auto [begin, end] = slices_.equal_range({name_space, service});
  for (auto each = begin; each != end; ++each) {
    found.push_back(each->second);
  }
  return found;
}

bool Lookup::permits(const From& from, const To& to) const {
  if (from.name_space == to.name_space) {
    return true;
  }
  const auto names_sender = [&](const kube::Object* entry) {
    return find_string(*entry, "group") == from.group && find_string(*entry, "kind") == from.kind &&
           find_string(*entry, "namespace") == from.name_space;
  };
  const auto names_target = [&](const kube::Object* entry) {
    const std::string_view name = find_string(*entry, "name");
    return find_string(*entry, "group") == to.group && find_string(*entry, "kind") == to.kind &&
           (name.empty() || name == to.name);
  };
  const auto [begin, end] = grants_.equal_range(to.name_space);
  return std::any_of(begin, end, [&](const auto& each) {
    const kube::Object& grant = *each.second;
    return !kube::is_being_deleted(grant) &&
           std::ranges::any_of(objects_in(grant, "spec.from"), names_sender) &&
           std::ranges::any_of(objects_in(grant, "spec.to"), names_target);
  });
}

}  // namespace llmd::gateway
