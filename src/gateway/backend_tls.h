// BackendTLSPolicies: which backends speak TLS, and how they are known. Of several policies for the same
// target the oldest counts, then the first by name; one that names a port counts before one that does not.
// Pure; private to gateway.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/build_routes.h"
#include "gateway/conditions.h"

namespace llmd::gateway {

// What one policy says.
struct BackendTlsPolicy {
  const kube::Object* object = nullptr;
  BackendTls tls;
  Condition accepted{"Accepted", true, "Accepted", {}};  // false also: another policy counts
  Condition resolved{"ResolvedRefs", true, "ResolvedRefs", {}};
  std::string problem;  // why it cannot be followed; empty: it can
};

class BackendTlsPolicies {
 public:
  // The objects outlive this.
  explicit BackendTlsPolicies(const RouteObjects& objects);

  // Of a port of a Service; nullopt: no policy, plaintext. Errors: a policy that cannot be followed, so that
  // nothing may be sent.
  Result<std::optional<BackendTls>> find(const kube::Object& service, std::string_view port_name) const;
  // Those that name the Service, whether they count or not.
  std::vector<const BackendTlsPolicy*> naming(const kube::Object& service) const;
  const std::vector<BackendTlsPolicy>& all() const { return policies_; }

 private:
  std::vector<BackendTlsPolicy> policies_;  // those that come first count
};

}  // namespace llmd::gateway
