#include "gateway/route_inputs.h"

#include <algorithm>

#include "gateway/endpoints.h"
#include "gateway/fields.h"

namespace llmd::gateway {
namespace {

using kube::find_string;
using kube::name_of;
using kube::namespace_of;

bool names(const kube::Object& reference, std::string_view own_namespace, const kube::Object& object) {
  return find_string(reference, "name") == name_of(object) &&
         string_or(reference, "namespace", own_namespace) == namespace_of(object);
}

// Certificates of authorities.
bool is_trusted(const kube::Object& map, const RouteObjects& referrers) {
  return std::ranges::any_of(referrers.backend_tls_policies, [&](const kube::Object* policy) {
    const auto references = objects_in(*policy, "spec.validation.caCertificateRefs");
    return std::ranges::any_of(references, [&](const kube::Object* reference) {
      return names(*reference, namespace_of(*policy), map);
    });
  });
}

// Certificates of listeners.
bool is_shown(const kube::Object& secret, const RouteObjects& referrers) {
  for (const kube::Object* gateway : referrers.gateways) {
    for (const kube::Object* listener : objects_in(*gateway, "spec.listeners")) {
      for (const kube::Object* reference : objects_in(*listener, "tls.certificateRefs")) {
        if (names(*reference, namespace_of(*gateway), secret)) {
          return true;
        }
      }
    }
  }
  return false;
}

bool serves(const kube::Object& pod, const RouteObjects& referrers) {
  const auto selecting = [&pod](const kube::Object* pool) { return selects(*pool, pod); };
  return !kube::label_of(pod, "llm-d.ai/role").empty() || std::ranges::any_of(referrers.pools, selecting) ||
         std::ranges::any_of(referrers.older_pools, selecting);
}

}  // namespace

bool counts_for_routes(const kube::Resource& resource, const kube::Object& object,
                       const RouteObjects& referrers) {
  return resource == kube::kConfigMaps ? is_trusted(object, referrers)
         : resource == kube::kSecrets  ? is_shown(object, referrers)
         : resource == kube::kPods     ? serves(object, referrers)
                                       : true;
}

}  // namespace llmd::gateway
