#include "gateway/backends.h"

#include <algorithm>

#include "gateway/fields.h"
#include "gateway/kinds.h"

namespace llmd::gateway {
namespace {

using kube::find_int;
using kube::find_string;

// Backends are spoken to in HTTP/1.1 without TLS.
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

std::map<std::string, std::string> labels_of(const kube::Object& object) {
  std::map<std::string, std::string> labels;
  if (const kube::Object* written = kube::find_object(object, "metadata.labels")) {
    for (const auto& label : *written) {
      if (label.value().is_string()) {
        labels.emplace(label.key(), std::string_view(label.value().get_string()));
      }
    }
  }
  return labels;
}

void add_endpoints(const kube::Object& slice, std::uint16_t port, Backend& backend) {
  for (const kube::Object* endpoint : objects_in(slice, "endpoints")) {
    const auto addresses = strings_in(*endpoint, "addresses");
    if (addresses.empty() || kube::find_bool(*endpoint, "conditions.terminating", false)) {
      continue;
    }
    if (!kube::find_bool(*endpoint, "conditions.ready", true)) {
      ++backend.not_ready;
      continue;
    }
    const std::string_view pod = find_string(*endpoint, "targetRef.name");
    backend.ready.push_back({.address = {addresses.front(), port},
                             .name = std::string(pod.empty() ? addresses.front() : pod),
                             .labels = {}});
  }
}

bool is_ready(const kube::Object& pod) {
  const kube::Object* condition = kube::find_condition(pod, "Ready");
  return condition != nullptr && find_string(*condition, "status") == "True";
}

// v1: targetPorts: [{number}]; v1alpha2: targetPortNumber.
std::vector<std::uint16_t> ports_of(const kube::Object& pool) {
  std::vector<std::uint16_t> ports;
  for (const kube::Object* port : objects_in(pool, "spec.targetPorts")) {
    ports.push_back(static_cast<std::uint16_t>(find_int(*port, "number", 0)));
  }
  if (const auto port = find_int(pool, "spec.targetPortNumber", 0); ports.empty() && port > 0) {
    ports.push_back(static_cast<std::uint16_t>(port));
  }
  return ports;
}

// v1: {matchLabels}; v1alpha2: the labels themselves. An empty selector selects nothing.
bool selects(const kube::Object& pool, const kube::Object& pod) {
  const kube::Object* selector = kube::find_object(pool, "spec.selector");
  if (selector == nullptr || kube::namespace_of(pool) != kube::namespace_of(pod)) {
    return false;
  }
  const kube::Object* labels = kube::find_object(*selector, "matchLabels");
  labels = labels == nullptr ? selector : labels;
  return !labels->empty() && std::ranges::all_of(*labels, [&pod](const auto& label) {
    return label.value().is_string() &&
           kube::label_of(pod, label.key()) == std::string_view(label.value().get_string());
  });
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
  if (!lookup_.permits({kGatewayGroup, kube::kHttpRoutes.kind, own}, {group, kind, name_space, name})) {
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
  const kube::Object* found = port_of(*service, port);
  if (found == nullptr) {
    return {
        {}, fmt::format("backend Service {}/{} has no port {}", name_space, name, port), "BackendNotFound"};
  }
  const std::string_view protocol = find_string(*found, "appProtocol");
  if (protocol == kHttp2Protocol || protocol == kSecureWebSocket) {
    return {{},
            fmt::format("backend Service {}/{}: protocol {} is not supported", name_space, name, protocol),
            "UnsupportedProtocol"};
  }
  std::string key = fmt::format("{}/{}:{}", name_space, name, find_int(*found, "port", 0));
  if (!backends_.contains(key)) {
    backends_.emplace(key, endpoints_of_service(*service, *found));
  }
  return {std::move(key), {}, {}};
}

ResolvedBackend Backends::pool(std::string_view group, std::string_view name_space, std::string_view name) {
  const kube::Object* pool = lookup_.pool(group, name_space, name);
  if (pool == nullptr) {
    return {
        {}, fmt::format("backend InferencePool {}/{} does not exist", name_space, name), "BackendNotFound"};
  }
  if (find_string(*pool, "spec.appProtocol") == kHttp2Protocol) {
    return {{},
            fmt::format("backend InferencePool {}/{}: protocol {} is not supported", name_space, name,
                        kHttp2Protocol),
            "UnsupportedProtocol"};
  }
  pools_.insert(pool);
  std::string key =
      fmt::format("InferencePool/{}/{}{}", name_space, name, group == kPoolGroup ? "" : "/v1alpha2");
  if (!backends_.contains(key)) {
    backends_.emplace(key, endpoints_of_pool(*pool));
  }
  return {std::move(key), {}, {}};
}

Backend Backends::endpoints_of_service(const kube::Object& service, const kube::Object& port) const {
  Backend backend;
  for (const kube::Object* slice : lookup_.slices(kube::namespace_of(service), kube::name_of(service))) {
    for (const kube::Object* each : objects_in(*slice, "ports")) {
      if (find_string(*each, "name") == find_string(port, "name")) {
        add_endpoints(*slice, static_cast<std::uint16_t>(find_int(*each, "port", 0)), backend);
      }
    }
  }
  return backend;
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
    for (const picker::Endpoint& endpoint : endpoints_of_service(*service, *port).ready) {
      picker->addresses.push_back(endpoint.address);
    }
  }
  return result;
}

Backend Backends::endpoints_of_pool(const kube::Object& pool) const {
  Backend backend{.ready = {}, .pool = true, .external = picker_of(pool).external};
  const auto ports = ports_of(pool);
  for (const kube::Object* pod : objects_.pods) {
    const std::string_view address = find_string(*pod, "status.podIP");
    if (!selects(pool, *pod) || kube::is_being_deleted(*pod)) {
      continue;
    }
    if (!is_ready(*pod) || address.empty()) {
      ++backend.not_ready;
      continue;
    }
    for (std::size_t rank = 0; rank < ports.size(); ++rank) {
      picker::Endpoint endpoint;
      endpoint.address = {std::string(address), ports[rank]};
      endpoint.name = ports.size() == 1 ? std::string(kube::name_of(*pod))
                                        : fmt::format("{}-rank-{}", kube::name_of(*pod), rank);
      endpoint.namespace_ = kube::namespace_of(*pod);
      endpoint.labels = labels_of(*pod);
      endpoint.rank = static_cast<int>(rank);
      backend.ready.push_back(std::move(endpoint));
    }
  }
  return backend;
}

}  // namespace llmd::gateway
