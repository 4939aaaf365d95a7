// Services, EndpointSlices, Gateways, routes and LLMInferenceServices.
#include <boost/json/array.hpp>

#include "apiserver/cells.h"
#include "apiserver/table.h"
#include "json/value.h"
#include "kube/selector.h"

namespace llmd::apiserver {

std::string joined(const kube::Object& object, std::string_view path) {
  std::string text;
  if (const boost::json::array* list = kube::find_array(object, path)) {
    for (const boost::json::value& item : *list) {
      if (item.is_string()) {
        text += (text.empty() ? "" : ",") + std::string(item.get_string());
      }
    }
  }
  return text;
}

namespace {

using boost::json::array;
using kube::find_array;
using kube::find_int;
using kube::find_object;
using kube::find_string;
using kube::Object;

std::string service_ports(const Object& service) {
  std::string text;
  if (const array* ports = find_array(service, "spec.ports")) {
    for (const boost::json::value& port : *ports) {
      if (!port.is_object()) {
        continue;
      }
      const std::int64_t node_port = find_int(port.get_object(), "nodePort", 0);
      text += text.empty() ? "" : ",";
      text += std::to_string(find_int(port.get_object(), "port", 0));
      text += node_port != 0 ? fmt::format(":{}", node_port) : "";
      text += "/" + std::string(find_string(port.get_object(), "protocol"));
    }
  }
  return or_none(text);
}

array service_cells(const Object& service, WallTime now) {
  const std::string_view type = find_string(service, "spec.type");
  std::string external = joined(service, "spec.externalIPs");
  if (type == "ExternalName") {
    external = find_string(service, "spec.externalName");
  } else if (type == "LoadBalancer" && external.empty()) {
    external = "<pending>";
  }
  const Object* selector = find_object(service, "spec.selector");
  return {cell(kube::name_of(service)),
          cell(type),
          cell(or_none(find_string(service, "spec.clusterIP"))),
          cell(or_none(external)),
          cell(service_ports(service)),
          cell(age_of(service, now)),
          cell(or_none(selector ? kube::labels_text(*selector) : std::string()))};
}

// Three of them, then how many more.
std::string limited(const std::vector<std::string>& texts, std::string_view none) {
  if (texts.empty()) {
    return std::string(none);
  }
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, texts.size()); ++i) {
    text += (text.empty() ? "" : ",") + texts[i];
  }
  return texts.size() > 3 ? fmt::format("{} + {} more...", text, texts.size() - 3) : text;
}

array slice_cells(const Object& slice, WallTime now) {
  std::vector<std::string> ports;
  std::vector<std::string> addresses;
  if (const array* list = find_array(slice, "ports")) {
    for (const boost::json::value& port : *list) {
      ports.push_back(port.is_object() ? std::to_string(find_int(port.get_object(), "port", 0)) : "");
    }
  }
  if (const array* list = find_array(slice, "endpoints")) {
    for (const boost::json::value& endpoint : *list) {
      if (endpoint.is_object()) {
        addresses.push_back(joined(endpoint.get_object(), "addresses"));
      }
    }
  }
  return {cell(kube::name_of(slice)), cell(find_string(slice, "addressType")),
          cell(limited(ports, "<unset>")), cell(limited(addresses, "<unset>")), cell(age_of(slice, now))};
}

std::string condition_member(const Object& object, std::string_view type, std::string_view member) {
  const Object* condition = kube::find_condition(object, type);
  return condition ? std::string(find_string(*condition, member)) : std::string();
}

// Missing values of custom resources print as nothing.
boost::json::value cell_or_null(std::string_view text) {
  return text.empty() ? boost::json::value(nullptr) : cell(text);
}

array gateway_cells(const Object& gateway, WallTime now) {
  std::string address;
  if (const array* list = find_array(gateway, "status.addresses");
      list && !list->empty() && list->front().is_object()) {
    address = find_string(list->front().get_object(), "value");
  }
  return {cell(kube::name_of(gateway)), cell_or_null(find_string(gateway, "spec.gatewayClassName")),
          cell_or_null(address), cell_or_null(condition_member(gateway, "Programmed", "status")),
          cell(age_of(gateway, now))};
}

array gateway_class_cells(const Object& object, WallTime now) {
  return {cell(kube::name_of(object)), cell_or_null(find_string(object, "spec.controllerName")),
          cell_or_null(condition_member(object, "Accepted", "status")), cell(age_of(object, now)),
          cell_or_null(find_string(object, "spec.description"))};
}

array route_cells(const Object& route, WallTime now) {
  const array* hostnames = find_array(route, "spec.hostnames");
  return {cell(kube::name_of(route)),
          hostnames ? cell(json::write(boost::json::value(*hostnames))) : boost::json::value(nullptr),
          cell(age_of(route, now))};
}

array llm_service_cells(const Object& service, WallTime now) {
  std::string urls;
  if (const array* list = find_array(service, "status.addresses");
      list && !list->empty() && list->front().is_object()) {
    urls = find_string(list->front().get_object(), "url");
  }
  return {cell(kube::name_of(service)),
          cell_or_null(find_string(service, "status.url")),
          cell_or_null(condition_member(service, "Ready", "status")),
          cell_or_null(condition_member(service, "Ready", "reason")),
          cell(age_of(service, now)),
          cell_or_null(urls)};
}

array config_cells(const Object& config, WallTime now) {
  return {cell(kube::name_of(config)), cell(age_of(config, now))};
}

const Column kAge{"Age", "time since the object was made"};
const Column kName{"Name", "name of the object"};

}  // namespace

const TableLayout* network_layout(const Kind& kind) {
  static const TableLayout services{{kName,
                                     {"Type", "how the service is reached"},
                                     {"Cluster-IP", "address inside; None: the endpoints' own"},
                                     {"External-IP", "address outside"},
                                     {"Port(s)", "ports with protocol"},
                                     kAge,
                                     {"Selector", "labels of its pods", "string", 1}},
                                    service_cells};
  static const TableLayout slices{{kName,
                                   {"AddressType", "kind of addresses"},
                                   {"Ports", "ports of all endpoints"},
                                   {"Endpoints", "addresses"},
                                   kAge},
                                  slice_cells};
  static const TableLayout gateways{{kName,
                                     {"Class", "class of the gateway"},
                                     {"Address", "where it listens"},
                                     {"Programmed", "whether it listens"},
                                     kAge},
                                    gateway_cells};
  static const TableLayout classes{{kName,
                                    {"Controller", "who serves the class"},
                                    {"Accepted", "whether somebody serves it"},
                                    kAge,
                                    {"Description", "what the class is for", "string", 1}},
                                   gateway_class_cells};
  static const TableLayout routes{{kName, {"Hostnames", "hosts of the requests"}, kAge}, route_cells};
  static const TableLayout llm_services{{kName,
                                         {"URL", "where the model answers"},
                                         {"Ready", "whether it answers"},
                                         {"Reason", "why it does not"},
                                         kAge,
                                         {"URLs", "all addresses", "string", 1}},
                                        llm_service_cells};
  static const TableLayout configs{{kName, kAge}, config_cells};
  const kube::Resource& resource = kind.resource;
  return resource == kube::kServices         ? &services
         : resource == kube::kEndpointSlices ? &slices
         : resource == kube::kGateways       ? &gateways
         : resource == kube::kGatewayClasses ? &classes
         : resource == kube::kHttpRoutes     ? &routes
         : resource == kube::kLlmServices    ? &llm_services
         : resource == kube::kLlmConfigs     ? &configs
                                             : nullptr;
}

}  // namespace llmd::apiserver
