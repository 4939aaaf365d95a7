#include "gateway/endpoints.h"

#include <algorithm>

#include "gateway/fields.h"

namespace llmd::gateway {
namespace {

using kube::find_int;
using kube::find_string;

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

void add_endpoints(const kube::Object& slice, std::uint16_t port, EndpointList& list) {
  for (const kube::Object* endpoint : objects_in(slice, "endpoints")) {
    const auto addresses = strings_in(*endpoint, "addresses");
    if (addresses.empty() || kube::find_bool(*endpoint, "conditions.terminating", false)) {
      continue;
    }
    if (!kube::find_bool(*endpoint, "conditions.ready", true)) {
      ++list.not_ready;
      continue;
    }
    const std::string_view pod = find_string(*endpoint, "targetRef.name");
    list.ready.push_back({.address = {addresses.front(), port},
                          .name = std::string(pod.empty() ? addresses.front() : pod),
                          .labels = {},
                          .uid = std::string(find_string(*endpoint, "targetRef.uid"))});
  }
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

}  // namespace

// v1: {matchLabels}; v1alpha2: the labels themselves.
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

bool is_ready(const kube::Object& pod) {
  const kube::Object* ready = kube::find_condition(pod, "Ready");
  return ready != nullptr && find_string(*ready, "status") == "True" &&
         !find_string(pod, "status.podIP").empty();
}

picker::Endpoint endpoint_of(const kube::Object& pod, std::uint16_t port) {
  picker::Endpoint endpoint;
  endpoint.address = {std::string(find_string(pod, "status.podIP")), port};
  endpoint.name = kube::name_of(pod);
  endpoint.namespace_ = kube::namespace_of(pod);
  endpoint.labels = labels_of(pod);
  endpoint.uid = kube::uid_of(pod);
  return endpoint;
}

EndpointList endpoints_of(const std::vector<const kube::Object*>& slices, std::string_view port_name) {
  EndpointList list;
  for (const kube::Object* slice : slices) {
    for (const kube::Object* port : objects_in(*slice, "ports")) {
      if (find_string(*port, "name") == port_name) {
        add_endpoints(*slice, static_cast<std::uint16_t>(find_int(*port, "port", 0)), list);
      }
    }
  }
  return list;
}

EndpointList endpoints_of_pool(const kube::Object& pool, const std::vector<const kube::Object*>& pods) {
  EndpointList list;
  const auto ports = ports_of(pool);
  for (const kube::Object* pod : pods) {
    if (!selects(pool, *pod) || kube::is_being_deleted(*pod)) {
      continue;
    }
    if (!is_ready(*pod)) {
      ++list.not_ready;
      continue;
    }
    for (std::size_t rank = 0; rank < ports.size(); ++rank) {
      picker::Endpoint& endpoint = list.ready.emplace_back(endpoint_of(*pod, ports[rank]));
      endpoint.rank = static_cast<int>(rank);
      if (ports.size() > 1) {
        endpoint.name += fmt::format("-rank-{}", rank);
      }
    }
  }
  return list;
}

Priorities priorities_of(const kube::Object& pool, const std::vector<const kube::Object*>& objectives) {
  Priorities priorities;
  for (const kube::Object* objective : objectives) {
    const std::string_view named = string_or(*objective, "spec.poolRef.name", kube::name_of(pool));
    if (named == kube::name_of(pool) && kube::namespace_of(*objective) == kube::namespace_of(pool) &&
        !kube::is_being_deleted(*objective)) {
      priorities[std::string(kube::name_of(*objective))] =
          static_cast<int>(find_int(*objective, "spec.priority", 0));
    }
  }
  return priorities;
}

}  // namespace llmd::gateway
