#include "controllers/endpoint_slices.h"

#include <boost/json.hpp>

#include "controllers/pod_facts.h"

namespace llmd::controllers {
namespace {

constexpr std::string_view kServiceName = "kubernetes.io/service-name";
constexpr std::string_view kManagedBy = "endpointslice.kubernetes.io/managed-by";

// The service's selector as the label selector that selector_matches() takes; null for services without one.
std::optional<kube::Object> selector_of(const kube::Object& service) {
  const auto* labels = kube::find_object(service, "spec.selector");
  if (labels == nullptr || labels->empty()) {
    return std::nullopt;
  }
  return kube::Object{{"matchLabels", *labels}};
}

std::int64_t container_port(const std::vector<const kube::Object*>& pods, std::string_view name) {
  for (const kube::Object* pod : pods) {
    const auto* containers = kube::find_array(*pod, "spec.containers");
    for (std::size_t i = 0; containers != nullptr && i < containers->size(); ++i) {
      const auto* ports = kube::find_array(containers->at(i).as_object(), "ports");
      for (std::size_t j = 0; ports != nullptr && j < ports->size(); ++j) {
        if (kube::find_string(ports->at(j).as_object(), "name") == name) {
          return kube::find_int(ports->at(j).as_object(), "containerPort", 0);
        }
      }
    }
  }
  return 0;
}

boost::json::array slice_ports(const kube::Object& service, const std::vector<const kube::Object*>& pods) {
  boost::json::array list;
  const auto* ports = kube::find_array(service, "spec.ports");
  for (std::size_t i = 0; ports != nullptr && i < ports->size(); ++i) {
    const auto& port = ports->at(i).as_object();
    const auto named = kube::find_string(port, "targetPort");
    const auto number = named.empty() ? kube::find_int(port, "targetPort", kube::find_int(port, "port", 0))
                                      : container_port(pods, named);
    if (number > 0) {
      const auto protocol = kube::find_string(port, "protocol");
      list.push_back(kube::Object{{"name", kube::find_string(port, "name")},
                                  {"port", number},
                                  {"protocol", protocol.empty() ? "TCP" : protocol}});
    }
  }
  return list;
}

kube::Object endpoint(const kube::Object& pod) {
  const bool ready = is_pod_ready(pod);
  const bool terminating = kube::is_being_deleted(pod);
  return {{"addresses", boost::json::array{kube::find_string(pod, "status.podIP")}},
          {"conditions",
           kube::Object{{"ready", ready && !terminating}, {"serving", ready}, {"terminating", terminating}}},
          {"nodeName", kube::find_string(pod, "spec.nodeName")},
          {"targetRef", kube::Object{{"kind", "Pod"},
                                     {"namespace", kube::namespace_of(pod)},
                                     {"name", kube::name_of(pod)},
                                     {"uid", kube::uid_of(pod)}}}};
}

// Equality of what we write; the server adds metadata of its own.
bool same_content(const kube::Object& a, const kube::Object& b) {
  for (const std::string_view field : {"addressType", "ports", "endpoints"}) {
    const auto* left = a.if_contains(field);
    const auto* right = b.if_contains(field);
    if ((left == nullptr) != (right == nullptr) || (left != nullptr && *left != *right)) {
      return false;
    }
  }
  return true;
}

}  // namespace

kube::Object endpoint_slice(const kube::Object& service, const std::vector<const kube::Object*>& pods) {
  boost::json::array endpoints;
  for (const kube::Object* pod : pods) {
    endpoints.push_back(endpoint(*pod));
  }
  return {{"apiVersion", "discovery.k8s.io/v1"},
          {"kind", "EndpointSlice"},
          {"metadata",
           kube::Object{{"name", fmt::format("{}-llmd", kube::name_of(service))},
                        {"namespace", kube::namespace_of(service)},
                        {"labels", kube::Object{{kServiceName, kube::name_of(service)},
                                                {kManagedBy, "endpointslice-controller.llmd.dev"}}},
                        {"ownerReferences", boost::json::array{kube::controller_reference(service)}}}},
          {"addressType", "IPv4"},
          {"ports", slice_ports(service, pods)},
          {"endpoints", std::move(endpoints)}};
}

EndpointSliceController::EndpointSliceController(ClusterView& view)
    : view_(view), controller_(view.loop(), "endpointslice", [this](kube::ObjectKey key) {
        return reconcile(std::move(key));
      }) {
  view.of(kube::kServices).on_change([this](const kube::Object* before, const kube::Object* after) {
    controller_.enqueue(kube::key_of(after != nullptr ? *after : *before));
  });
  view.of(kube::kPods).on_change([this](const kube::Object* before, const kube::Object* after) {
    for (const kube::Object* pod : {before, after}) {
      if (pod != nullptr) {
        enqueue_services_of(*pod);
      }
    }
  });
  view.of(kube::kEndpointSlices).on_change([this](const kube::Object* before, const kube::Object* after) {
    const kube::Object& slice = after != nullptr ? *after : *before;
    if (const auto service = kube::label_of(slice, kServiceName); !service.empty()) {
      controller_.enqueue({std::string(kube::namespace_of(slice)), std::string(service)});
    }
  });
}

void EndpointSliceController::enqueue_services_of(const kube::Object& pod) {
  for (const auto& [key, service] : view_.of(kube::kServices).objects()) {
    const auto selector = selector_of(service);
    if (key.name_space == kube::namespace_of(pod) && selector && kube::selector_matches(*selector, pod)) {
      controller_.enqueue(key);
    }
  }
}

Task<Result<kube::Outcome>> EndpointSliceController::reconcile(kube::ObjectKey key) {
  const auto* service = view_.of(kube::kServices).find(key);
  const auto selector = service == nullptr ? std::nullopt : selector_of(*service);
  if (!selector || kube::is_being_deleted(*service)) {
    co_return kube::Outcome{};
  }
  std::vector<const kube::Object*> pods;
  for (const auto& [pod_key, pod] : view_.of(kube::kPods).objects()) {
    const auto phase = kube::find_string(pod, "status.phase");
    if (pod_key.name_space == key.name_space && phase != "Succeeded" && phase != "Failed" &&
        !kube::find_string(pod, "status.podIP").empty() && kube::selector_matches(*selector, pod)) {
      pods.push_back(&pod);
    }
  }
  kube::Object wanted = endpoint_slice(*service, pods);
  const auto wanted_key = kube::key_of(wanted);
  const auto* existing = view_.of(kube::kEndpointSlices).find(wanted_key);
  if (existing == nullptr) {
    const auto created = co_await view_.client().create(kube::kEndpointSlices, std::move(wanted));
    if (!created && created.error().kind != ErrorKind::AlreadyExists) {
      co_return std::unexpected(created.error());
    }
  } else if (!same_content(*existing, wanted)) {
    LLMD_CO_TRY(const auto updated,
                co_await view_.client().merge_patch(kube::kEndpointSlices, wanted_key, std::move(wanted)));
  }
  co_return kube::Outcome{};
}

}  // namespace llmd::controllers
