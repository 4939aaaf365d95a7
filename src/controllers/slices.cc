#include "controllers/slices.h"

#include <boost/json/array.hpp>

#include <map>

#include "controllers/pods.h"
#include "json/value.h"

namespace llmd::controllers {

namespace {

using boost::json::array;
using kube::find_array;
using kube::find_int;
using kube::find_object;
using kube::find_string;
using kube::Object;

// The number a service's targetPort has in this pod; 0 when the pod has no port of that name.
std::int64_t target_port(const Object& port, const Object& pod) {
  const boost::json::value* target = port.if_contains("targetPort");
  if (!target || !target->is_string()) {
    return find_int(port, "targetPort", find_int(port, "port", 0));
  }
  const std::string_view wanted(target->get_string());
  for (const std::string_view list : {"spec.containers", "spec.initContainers"}) {
    const array* containers = find_array(pod, list);
    for (std::size_t i = 0; containers && i < containers->size(); ++i) {
      const array* ports =
          (*containers)[i].is_object() ? find_array((*containers)[i].get_object(), "ports") : nullptr;
      for (std::size_t j = 0; ports && j < ports->size(); ++j) {
        if ((*ports)[j].is_object() && find_string((*ports)[j].get_object(), "name") == wanted) {
          return find_int((*ports)[j].get_object(), "containerPort", 0);
        }
      }
    }
  }
  return 0;
}

array ports_for(const Object& service, const Object* pod) {
  array result;
  const array* ports = find_array(service, "spec.ports");
  for (std::size_t i = 0; ports && i < ports->size(); ++i) {
    if (!(*ports)[i].is_object()) {
      continue;
    }
    const Object& port = (*ports)[i].get_object();
    const std::int64_t number = pod ? target_port(port, *pod) : find_int(port, "targetPort", 0);
    if (number <= 0) {
      continue;
    }
    Object entry;
    entry["name"] = find_string(port, "name");
    entry["port"] = number;
    entry["protocol"] = find_string(port, "protocol").empty() ? "TCP" : find_string(port, "protocol");
    if (const std::string_view protocol = find_string(port, "appProtocol"); !protocol.empty()) {
      entry["appProtocol"] = protocol;
    }
    result.push_back(std::move(entry));
  }
  return result;
}

Object endpoint_of(const Object& service, const Object& pod) {
  const bool going = kube::is_being_deleted(pod);
  const bool serving = is_ready(pod);
  const bool ready = kube::find_bool(service, "spec.publishNotReadyAddresses", false) || (serving && !going);
  Object endpoint;
  endpoint["addresses"] = array{boost::json::value(std::string(find_string(pod, "status.podIP")))};
  endpoint["conditions"] = {{"ready", ready}, {"serving", serving}, {"terminating", going}};
  if (const std::string_view node = find_string(pod, "spec.nodeName"); !node.empty()) {
    endpoint["nodeName"] = node;
  }
  Object& target = endpoint["targetRef"].emplace_object();
  target["kind"] = "Pod";
  target["namespace"] = kube::namespace_of(pod);
  target["name"] = kube::name_of(pod);
  target["uid"] = kube::uid_of(pod);
  return endpoint;
}

Object empty_slice(const Object& service) {
  Object slice{{"apiVersion", "discovery.k8s.io/v1"}, {"kind", "EndpointSlice"}, {"addressType", "IPv4"}};
  Object& metadata = slice["metadata"].emplace_object();
  metadata["generateName"] = std::string(kube::name_of(service)) + "-";
  metadata["namespace"] = kube::namespace_of(service);
  Object labels =
      find_object(service, "metadata.labels") ? *find_object(service, "metadata.labels") : Object();
  labels["kubernetes.io/service-name"] = kube::name_of(service);
  labels["endpointslice.kubernetes.io/managed-by"] = "endpointslice-controller.k8s.io";
  metadata["labels"] = std::move(labels);
  metadata["ownerReferences"] = array{boost::json::value(kube::controller_reference(service))};
  slice["endpoints"].emplace_array();
  return slice;
}

}  // namespace

bool has_selector(const Object& service) {
  const Object* selector = find_object(service, "spec.selector");
  return selector && !selector->empty() && find_string(service, "spec.type") != "ExternalName";
}

bool selects(const Object& service, const Object& pod) {
  if (!has_selector(service)) {
    return false;
  }
  Object selector;
  selector["matchLabels"] = *find_object(service, "spec.selector");
  return kube::selector_matches(selector, pod);
}

std::string endpoint_facts(const Object& pod) {
  const Object* labels = find_object(pod, "metadata.labels");
  return fmt::format("{} {} {} {} {} {}", find_string(pod, "status.podIP"), find_string(pod, "spec.nodeName"),
                     is_ready(pod), is_finished(pod), kube::is_being_deleted(pod),
                     labels ? json::write(boost::json::value(*labels)) : "");
}

std::vector<Object> slices_of(const Object& service, const std::vector<const Object*>& pods) {
  std::map<std::string, Object> by_ports;
  for (const Object* pod : pods) {
    if (find_string(*pod, "status.podIP").empty() || is_finished(*pod)) {
      continue;
    }
    array ports = ports_for(service, pod);
    const std::string identity = json::write(boost::json::value(ports));
    auto [position, made] = by_ports.try_emplace(identity);
    if (made) {
      position->second = empty_slice(service);
      position->second["ports"] = std::move(ports);
    }
    position->second["endpoints"].get_array().push_back(endpoint_of(service, *pod));
  }
  if (by_ports.empty()) {
    Object slice = empty_slice(service);
    slice["ports"] = ports_for(service, nullptr);
    by_ports.emplace("", std::move(slice));
  }
  std::vector<Object> slices;
  for (auto& [identity, slice] : by_ports) {
    slices.push_back(std::move(slice));
  }
  return slices;
}

}  // namespace llmd::controllers
