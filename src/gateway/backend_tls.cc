#include "gateway/backend_tls.h"

#include <algorithm>
#include <expected>
#include <map>
#include <tuple>

#include "gateway/fields.h"
#include "net/tls_options.h"

namespace llmd::gateway {
namespace {

using kube::find_string;

struct BadReference {
  std::string_view reason;
  std::string message;
};

bool targets(const kube::Object& policy, const kube::Object& target, const kube::Object& service) {
  return find_string(target, "kind") == "Service" && find_string(target, "group").empty() &&
         find_string(target, "name") == kube::name_of(service) &&
         kube::namespace_of(policy) == kube::namespace_of(service);
}

// How well a policy fits: 2 names the port, 1 the Service, 0 neither.
int fit(const kube::Object& policy, const kube::Object& service, std::string_view port_name) {
  int best = 0;
  for (const kube::Object* target : objects_in(policy, "spec.targetRefs")) {
    const std::string_view section = find_string(*target, "sectionName");
    if (targets(policy, *target, service) && (section.empty() || section == port_name)) {
      best = std::max(best, section.empty() ? 1 : 2);
    }
  }
  return best;
}

// Names with a dot are no paths here.
std::expected<std::string, BadReference> authority_in(const RouteObjects& objects, const kube::Object& policy,
                                                      const kube::Object& reference) {
  const std::string_view name = find_string(reference, "name");
  if (string_or(reference, "kind", "ConfigMap") != "ConfigMap" || !find_string(reference, "group").empty()) {
    return std::unexpected(BadReference{"InvalidKind", fmt::format("caCertificateRefs: {} {} is no ConfigMap",
                                                                   find_string(reference, "kind"), name)});
  }
  const auto invalid = [&](std::string_view what) {
    return std::unexpected(
        BadReference{"InvalidCACertificateRef",
                     fmt::format("ConfigMap {}/{} {}", kube::namespace_of(policy), name, what)});
  };
  const auto found = std::ranges::find_if(objects.config_maps, [&](const kube::Object* map) {
    return kube::name_of(*map) == name && kube::namespace_of(*map) == kube::namespace_of(policy);
  });
  if (found == objects.config_maps.end()) {
    return invalid("does not exist");
  }
  const kube::Object* data = kube::find_object(**found, "data");
  const auto* certificate = data == nullptr ? nullptr : data->if_contains("ca.crt");
  if (certificate == nullptr || !certificate->is_string()) {
    return invalid("has no ca.crt");
  }
  std::string pem(std::string_view(certificate->get_string()));
  if (pem.find("-----BEGIN") == std::string::npos || !net::make_tls_client({.ca_pem = pem})) {
    return invalid("has a ca.crt that is no certificate");
  }
  return pem;
}

// A name of its own in the certificate is what we check; other alternatives we could not.
bool has_other_names(const kube::Object& policy, std::string_view hostname) {
  const auto names = objects_in(policy, "spec.validation.subjectAltNames");
  return !names.empty() && std::ranges::none_of(names, [&](const kube::Object* name) {
    return find_string(*name, "type") == "Hostname" && find_string(*name, "hostname") == hostname;
  });
}

void refuse(BackendTlsPolicy& policy, std::string_view reason, std::string message) {
  policy.problem = message;
  policy.accepted = {"Accepted", false, reason, std::move(message)};
}

BackendTlsPolicy read(const RouteObjects& objects, const kube::Object& object) {
  BackendTlsPolicy made{.object = &object};
  made.tls.server_name = find_string(object, "spec.validation.hostname");
  const std::string_view known = find_string(object, "spec.validation.wellKnownCACertificates");
  const auto references = objects_in(object, "spec.validation.caCertificateRefs");
  for (const kube::Object* reference : references) {
    auto pem = authority_in(objects, object, *reference);
    if (pem) {
      made.tls.ca_pem += *pem + "\n";
    } else {
      made.resolved = {"ResolvedRefs", false, pem.error().reason, pem.error().message};
    }
  }
  if (made.tls.server_name.empty()) {
    refuse(made, "Invalid", "validation.hostname is missing");
  } else if (references.empty() && known != "System") {
    refuse(made, "Invalid", "validation names no certificates of authorities");
  } else if (!references.empty() && made.tls.ca_pem.empty()) {
    refuse(made, "NoValidCACertificate", made.resolved.message);
  } else if (has_other_names(object, made.tls.server_name)) {
    refuse(made, "Invalid", "validation.subjectAltNames: only the name of validation.hostname is supported");
  }
  return made;
}

// A port that its Service does not have.
bool names_no_port(const RouteObjects& objects, const kube::Object& policy, const kube::Object& target) {
  const std::string_view section = find_string(target, "sectionName");
  const auto service = std::ranges::find_if(
      objects.services, [&](const kube::Object* each) { return targets(policy, target, *each); });
  return !section.empty() && service != objects.services.end() &&
         std::ranges::none_of(objects_in(**service, "spec.ports"), [&](const kube::Object* port) {
           return find_string(*port, "name") == section;
         });
}

bool comes_first(const kube::Object* a, const kube::Object* b) {
  const auto rank = [](const kube::Object& policy) {
    return std::tuple(find_string(policy, "metadata.creationTimestamp"), kube::key_of(policy));
  };
  return rank(*a) < rank(*b);
}

}  // namespace

BackendTlsPolicies::BackendTlsPolicies(const RouteObjects& objects) {
  auto sorted = objects.backend_tls_policies;
  std::erase_if(sorted, [](const kube::Object* policy) { return kube::is_being_deleted(*policy); });
  std::ranges::sort(sorted, comes_first);
  std::map<std::tuple<std::string_view, std::string_view, std::string_view>, std::string> taken;
  for (const kube::Object* object : sorted) {
    BackendTlsPolicy& made = policies_.emplace_back(read(objects, *object));
    for (const kube::Object* target : objects_in(*object, "spec.targetRefs")) {
      const std::string_view name = find_string(*target, "name");
      const auto [place, is_new] = taken.try_emplace(
          {kube::namespace_of(*object), name, find_string(*target, "sectionName")}, kube::name_of(*object));
      if (!is_new && place->second != kube::name_of(*object)) {
        made.accepted = {"Accepted", false, "Conflicted",
                         fmt::format("for {} the policy {} counts", name, place->second)};
      } else if (names_no_port(objects, *object, *target)) {
        made.accepted = {"Accepted", false, "TargetNotFound",
                         fmt::format("Service {} has no port {}", name, find_string(*target, "sectionName"))};
      }
    }
  }
}

Result<std::optional<BackendTls>> BackendTlsPolicies::find(const kube::Object& service,
                                                           std::string_view port_name) const {
  const BackendTlsPolicy* best = nullptr;
  int best_fit = 0;
  for (const BackendTlsPolicy& policy : policies_) {
    const int fits = fit(*policy.object, service, port_name);
    if (fits > best_fit) {
      best = &policy;
      best_fit = fits;
    }
  }
  if (best == nullptr) {
    return std::nullopt;
  }
  if (!best->problem.empty()) {
    return invalid_argument("BackendTLSPolicy {}: {}", kube::key_of(*best->object).to_string(),
                            best->problem);
  }
  return best->tls;
}

std::vector<const BackendTlsPolicy*> BackendTlsPolicies::naming(const kube::Object& service) const {
  std::vector<const BackendTlsPolicy*> found;
  for (const BackendTlsPolicy& policy : policies_) {
    const auto references = objects_in(*policy.object, "spec.targetRefs");
    if (std::ranges::any_of(references, [&](const kube::Object* target) {
          return targets(*policy.object, *target, service);
        })) {
      found.push_back(&policy);
    }
  }
  return found;
}

}  // namespace llmd::gateway
