#include "gateway/backends.h"

#include "gateway/endpoints.h"
#include "gateway/fields.h"
#include "gateway/kinds.h"

namespace llmd::gateway {
namespace {

using kube::find_int;
using kube::find_string;

// Backends are spoken to in HTTP/1.1 unless they say otherwise.
constexpr std::string_view kHttp2Protocol = "kubernetes.io/h2c";
constexpr std::string_view kSecureWebSocket = "kubernetes.io/wss";

const kube::Object* port_of(const kube::Object& service, std::int64_t wanted) {
  const auto ports = objects_in(service, "spec.ports");
  for (const kube::Object* port : ports) {
    if (find_int(*port, "port", -1) == wanted || (wanted == 0 && ports.size() == 1)) {
      return port;
    }
  }
  return nullptr;
}

}  // namespace

ResolvedBackend Backends::resolve(const kube::Object& route, const kube::Object& reference) {
  const std::string_view group = find_string(reference, "group");
  const std::string_view kind = string_or(reference, "kind", "Service");
  const std::string_view own = kube::namespace_of(route);
  const std::string_view name_space = string_or(reference, "namespace", own);
  const std::string_view name = find_string(reference, "name");
  const bool is_pool = kind == kPools.kind && (group == kPoolGroup || group == kOlderPoolGroup);
  if (!is_pool && (kind != "Service" || !group.empty())) {
    return {{},
            fmt::format("backend {} {}/{}: this kind is not supported", kind, name_space, name),
            "InvalidKind"};
  }
  if (!lookup_.permits({kGatewayGroup, kube::kind_of(route), own}, {group, kind, name_space, name})) {
    return {
        {},
        fmt::format("backend {} {}/{} is in another namespace than its route, and no ReferenceGrant there "
                    "permits it",
                    kind, name_space, name),
        "RefNotPermitted"};
  }
  return is_pool ? pool(group, name_space, name) : service(name_space, name, find_int(reference, "port", 0));
}

ResolvedBackend Backends::service(std::string_view name_space, std::string_view name, std::int64_t port) {
  const kube::Object* service = lookup_.service(name_space, name);
  if (service == nullptr) {
    return {{}, fmt::format("backend Service {}/{} does not exist", name_space, name), "BackendNotFound"};
  }
  services_.insert(service);
  const kube::Object* found = port_of(*service, port);
  if (found == nullptr) {
    return {
        {}, fmt::format("backend Service {}/{} has no port {}", name_space, name, port), "BackendNotFound"};
  }
  auto spoken = protocol_of(*service, *found);
  if (!spoken.problem.empty()) {
    return {{}, fmt::format("backend Service {}/{}: {}", name_space, name, spoken.problem), spoken.reason};
  }
  std::string key = fmt::format("{}/{}:{}", name_space, name, find_int(*found, "port", 0));
  if (!backends_.contains(key)) {
    backends_.emplace(key, backend_of_service(*service, *found)).first->second.protocol =
        std::move(spoken.protocol);
  }
  return {std::move(key), {}, {}};
}

ResolvedBackend Backends::pool(std::string_view group, std::string_view name_space, std::string_view name) {
  const kube::Object* pool = lookup_.pool(group, name_space, name);
  if (pool == nullptr) {
    return {
        {}, fmt::format("backend InferencePool {}/{} does not exist", name_space, name), "BackendNotFound"};
  }
  pools_.insert(pool);
  std::string key =
      fmt::format("InferencePool/{}/{}{}", name_space, name, group == kPoolGroup ? "" : "/v1alpha2");
  if (!backends_.contains(key)) {
    backends_.emplace(key, backend_of_pool(*pool));
  }
  return {std::move(key), {}, {}};
}

Backend Backends::backend_of_service(const kube::Object& service, const kube::Object& port) const {
  auto list = endpoints_of(lookup_.slices(kube::namespace_of(service), kube::name_of(service)),
                           find_string(port, "name"));
  return {.ready = std::move(list.ready), .not_ready = list.not_ready};
}

SpokenProtocol Backends::protocol_of(const kube::Object& service, const kube::Object& port) const {
  const std::string_view wanted = find_string(port, "appProtocol");
  auto tls = policies_.find(service, find_string(port, "name"));
  if (!tls) {
    return {{}, tls.error().text(), "InvalidBackendTLSPolicy"};
  }
  // Without a policy nobody says by which name and authority the server is known.
  if (wanted == kSecureWebSocket && !*tls) {
    return {{}, fmt::format("protocol {} needs a BackendTLSPolicy", wanted), "UnsupportedProtocol"};
  }
  return {{.http2 = wanted == kHttp2Protocol, .tls = std::move(*tls)}, {}, {}};
}

BackendProtocol Backends::protocol_of_pool(const kube::Object& pool) {
  return {.http2 = find_string(pool, "spec.appProtocol") == kHttp2Protocol};
}

PoolPicker Backends::picker_of(const kube::Object& pool) const {
  const std::string_view wish = kube::annotation_of(pool, "llmd.dev/endpoint-picker");
  const bool external = wish == "external" || (wish != "in-process" && external_pickers_);
  // v1: endpointPickerRef; v1alpha2: extensionRef.
  const kube::Object* reference = kube::find_object(pool, "spec.endpointPickerRef");
  reference = reference == nullptr ? kube::find_object(pool, "spec.extensionRef") : reference;
  if (!external || reference == nullptr) {
    return {};
  }
  constexpr std::int64_t kUsualPort = 9002;
  const std::string_view name = find_string(*reference, "name");
  const std::string_view name_space = kube::namespace_of(pool);
  const std::int64_t number =
      find_int(*reference, "port.number", find_int(*reference, "portNumber", kUsualPort));
  auto picker = std::make_shared<ExternalPicker>();
  picker->name = fmt::format("{}/{}:{}", name_space, name, number);
  picker->fail_open = find_string(*reference, "failureMode") == "FailOpen";
  PoolPicker result{.external = picker, .problem = {}};
  const kube::Object* service = lookup_.service(name_space, name);
  const kube::Object* port = service == nullptr ? nullptr : port_of(*service, number);
  if (string_or(*reference, "kind", "Service") != "Service" || !find_string(*reference, "group").empty()) {
    result.problem = fmt::format("the endpoint picker {} is no Service", name);
  } else if (service == nullptr) {
    result.problem = fmt::format("the endpoint picker's Service {}/{} does not exist", name_space, name);
  } else if (port == nullptr) {
    result.problem =
        fmt::format("the endpoint picker's Service {}/{} has no port {}", name_space, name, number);
  } else {
    picker->tls = find_string(*port, "appProtocol") != kHttp2Protocol;
    for (const picker::Endpoint& endpoint : backend_of_service(*service, *port).ready) {
      picker->addresses.push_back(endpoint.address);
    }
  }
  return result;
}

Backend Backends::backend_of_pool(const kube::Object& pool) const {
  auto list = endpoints_of_pool(pool, objects_.pods);
  return {.ready = std::move(list.ready),
          .not_ready = list.not_ready,
          .pool = true,
          .protocol = protocol_of_pool(pool),
          .external = picker_of(pool).external,
          .priorities = priorities_of(pool, objects_.objectives)};
}

}  // namespace llmd::gateway
