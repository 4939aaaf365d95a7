// BackendTLSPolicies: which backends speak TLS, and how they are known. Pure; private to gateway.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "gateway/build_routes.h"

namespace llmd::gateway {

// Of a port of a Service; nullopt: no policy, plaintext. The oldest policy counts, one that names the port
// before one that does not. Errors: a policy that cannot be followed, so that nothing may be sent.
Result<std::optional<BackendTls>> backend_tls(const RouteObjects& objects, const kube::Object& service,
                                              std::string_view port_name);

}  // namespace llmd::gateway
