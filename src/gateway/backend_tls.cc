#include "gateway/backend_tls.h"

#include <algorithm>
#include <tuple>

#include "gateway/fields.h"
#include "net/tls_options.h"

namespace llmd::gateway {
namespace {

using kube::find_string;

// How well a policy fits: 2 names the port, 1 the Service, 0 neither.
int fit(const kube::Object& policy, const kube::Object& service, std::string_view port_name) {
  int best = 0;
  if (kube::namespace_of(policy) != kube::namespace_of(service) || kube::is_being_deleted(policy)) {
    return best;
  }
  for (const kube::Object* target : objects_in(policy, "spec.targetRefs")) {
    const std::string_view section = find_string(*target, "sectionName");
    if (find_string(*target, "kind") == "Service" && find_string(*target, "group").empty() &&
        find_string(*target, "name") == kube::name_of(service) && (section.empty() || section == port_name)) {
      best = std::max(best, section.empty() ? 1 : 2);
    }
  }
  return best;
}

const kube::Object* policy_of(const RouteObjects& objects, const kube::Object& service,
                              std::string_view port_name) {
  const kube::Object* best = nullptr;
  const auto rank = [&](const kube::Object& policy) {
    return std::tuple(-fit(policy, service, port_name), find_string(policy, "metadata.creationTimestamp"),
                      kube::name_of(policy));
  };
  for (const kube::Object* policy : objects.backend_tls_policies) {
    if (fit(*policy, service, port_name) > 0 && (best == nullptr || rank(*policy) < rank(*best))) {
      best = policy;
    }
  }
  return best;
}

// Names with a dot are no paths here.
Result<std::string> authority_in(const RouteObjects& objects, const kube::Object& policy,
                                 const kube::Object& reference) {
  const std::string_view name = find_string(reference, "name");
  if (string_or(reference, "kind", "ConfigMap") != "ConfigMap" || !find_string(reference, "group").empty()) {
    return invalid_argument("caCertificateRefs: {} is no ConfigMap", name);
  }
  const auto found = std::ranges::find_if(objects.config_maps, [&](const kube::Object* map) {
    return kube::name_of(*map) == name && kube::namespace_of(*map) == kube::namespace_of(policy);
  });
  const kube::Object* data =
      found == objects.config_maps.end() ? nullptr : kube::find_object(**found, "data");
  const auto* certificate = data == nullptr ? nullptr : data->if_contains("ca.crt");
  if (certificate == nullptr || !certificate->is_string()) {
    return invalid_argument("ConfigMap {}/{} has no ca.crt", kube::namespace_of(policy), name);
  }
  return std::string(std::string_view(certificate->get_string()));
}

Result<BackendTls> parse(const RouteObjects& objects, const kube::Object& policy) {
  BackendTls tls;
  tls.server_name = find_string(policy, "spec.validation.hostname");
  const std::string_view known = find_string(policy, "spec.validation.wellKnownCACertificates");
  const auto references = objects_in(policy, "spec.validation.caCertificateRefs");
  if (tls.server_name.empty()) {
    return invalid_argument("validation.hostname is missing");
  }
  if (references.empty() && known != "System") {
    return invalid_argument("validation names no certificates of authorities");
  }
  for (const kube::Object* reference : references) {
    LLMD_TRY(const std::string pem, authority_in(objects, policy, *reference));
    tls.ca_pem += pem + "\n";
  }
  LLMD_TRY_VOID(net::make_tls_client({.ca_pem = tls.ca_pem, .server_name = tls.server_name}));
  return tls;
}

}  // namespace

Result<std::optional<BackendTls>> backend_tls(const RouteObjects& objects, const kube::Object& service,
                                              std::string_view port_name) {
  const kube::Object* policy = policy_of(objects, service, port_name);
  if (policy == nullptr) {
    return std::nullopt;
  }
  auto tls = parse(objects, *policy);
  if (!tls) {
    return std::unexpected(
        std::move(tls).error().within("BackendTLSPolicy " + kube::key_of(*policy).to_string()));
  }
  return std::move(*tls);
}

}  // namespace llmd::gateway
