// Namespaces, nodes, events, configuration.
#include <boost/json/array.hpp>

#include <algorithm>
#include <set>

#include "apiserver/cells.h"
#include "apiserver/table.h"
#include "base/strings.h"

namespace llmd::apiserver {

namespace {

using boost::json::array;
using kube::find_array;
using kube::find_int;
using kube::find_object;
using kube::find_string;
using kube::Object;

std::int64_t size_of(const Object& object, std::string_view path) {
  const Object* map = find_object(object, path);
  return map ? static_cast<std::int64_t>(map->size()) : 0;
}

array namespace_cells(const Object& object, WallTime now) {
  return {cell(kube::name_of(object)), cell(find_string(object, "status.phase")), cell(age_of(object, now))};
}

array config_map_cells(const Object& object, WallTime now) {
  return {cell(kube::name_of(object)),
          boost::json::value(size_of(object, "data") + size_of(object, "binaryData")),
          cell(age_of(object, now))};
}

array secret_cells(const Object& object, WallTime now) {
  return {cell(kube::name_of(object)), cell(find_string(object, "type")),
          boost::json::value(size_of(object, "data")), cell(age_of(object, now))};
}

array account_cells(const Object& object, WallTime now) {
  const array* secrets = find_array(object, "secrets");
  return {cell(kube::name_of(object)),
          boost::json::value(secrets ? static_cast<std::int64_t>(secrets->size()) : 0),
          cell(age_of(object, now))};
}

std::string node_roles(const Object& node) {
  constexpr std::string_view kPrefix = "node-role.kubernetes.io/";
  std::set<std::string> roles;
  if (const Object* labels = find_object(node, "metadata.labels")) {
    for (const auto& label : *labels) {
      if (const std::string_view key = label.key(); key.starts_with(kPrefix)) {
        roles.emplace(key.substr(kPrefix.size()));
      }
    }
  }
  const std::vector<std::string> sorted(roles.begin(), roles.end());
  return or_none(join(sorted, ","));
}

std::string node_address(const Object& node, std::string_view type) {
  if (const array* addresses = find_array(node, "status.addresses")) {
    for (const boost::json::value& address : *addresses) {
      if (address.is_object() && find_string(address.get_object(), "type") == type) {
        return std::string(find_string(address.get_object(), "address"));
      }
    }
  }
  return "<none>";
}

std::string or_unknown(std::string_view text) {
  return text.empty() ? "<unknown>" : std::string(text);
}

array node_cells(const Object& node, WallTime now) {
  const Object* ready = kube::find_condition(node, "Ready");
  const std::string_view state = ready ? find_string(*ready, "status") : std::string_view();
  std::string status = state == "True" ? "Ready" : state == "False" ? "NotReady" : "Unknown";
  if (kube::find_bool(node, "spec.unschedulable", false)) {
    status += ",SchedulingDisabled";
  }
  return {cell(kube::name_of(node)),
          cell(status),
          cell(node_roles(node)),
          cell(age_of(node, now)),
          cell(find_string(node, "status.nodeInfo.kubeletVersion")),
          cell(node_address(node, "InternalIP")),
          cell(node_address(node, "ExternalIP")),
          cell(or_unknown(find_string(node, "status.nodeInfo.osImage"))),
          cell(or_unknown(find_string(node, "status.nodeInfo.kernelVersion"))),
          cell(or_unknown(find_string(node, "status.nodeInfo.containerRuntimeVersion")))};
}

std::string_view first_text(const Object& object, std::initializer_list<std::string_view> paths) {
  for (const std::string_view path : paths) {
    if (const std::string_view text = find_string(object, path); !text.empty()) {
      return text;
    }
  }
  return {};
}

array event_cells(const Object& event, WallTime now) {
  const std::string source = std::string(first_text(event, {"source.component", "reportingComponent"}));
  const std::string_view host = find_string(event, "source.host");
  const std::string object = to_lower(find_string(event, "involvedObject.kind")) + "/" +
                             std::string(find_string(event, "involvedObject.name"));
  const std::int64_t count = find_int(event, "series.count", find_int(event, "count", 1));
  return {cell(age_text(
              first_text(event, {"series.lastObservedTime", "lastTimestamp", "firstTimestamp", "eventTime"}),
              now)),
          cell(find_string(event, "type")),
          cell(find_string(event, "reason")),
          cell(object),
          cell(find_string(event, "involvedObject.fieldPath")),
          cell(host.empty() ? source : source + ", " + std::string(host)),
          cell(trim(find_string(event, "message"))),
          cell(age_text(first_text(event, {"firstTimestamp", "eventTime"}), now)),
          boost::json::value(std::max<std::int64_t>(1, count)),
          cell(kube::name_of(event))};
}

array endpoints_cells(const Object& object, WallTime now) {
  const array* subsets = find_array(object, "subsets");
  return {cell(kube::name_of(object)),
          cell(subsets && !subsets->empty() ? fmt::format("{} subsets", subsets->size()) : "<none>"),
          cell(age_of(object, now))};
}

array lease_cells(const Object& lease, WallTime now) {
  return {cell(kube::name_of(lease)), cell(find_string(lease, "spec.holderIdentity")),
          cell(age_of(lease, now))};
}

const Column kAge{"Age", "time since the object was made"};
const Column kName{"Name", "name of the object"};

}  // namespace

const TableLayout* cluster_layout(const Kind& kind) {
  static const TableLayout namespaces{{kName, {"Status", "Active or Terminating"}, kAge}, namespace_cells};
  static const TableLayout config_maps{{kName, {"Data", "number of entries"}, kAge}, config_map_cells};
  static const TableLayout secrets{
      {kName, {"Type", "what the secret is for"}, {"Data", "number of entries"}, kAge}, secret_cells};
  static const TableLayout accounts{{kName, {"Secrets", "number of secrets"}, kAge}, account_cells};
  static const TableLayout nodes{{kName,
                                  {"Status", "whether pods can run"},
                                  {"Roles", "labels node-role.kubernetes.io"},
                                  kAge,
                                  {"Version", "version of the node's program"},
                                  {"Internal-IP", "address inside", "string", 1},
                                  {"External-IP", "address outside", "string", 1},
                                  {"OS-Image", "operating system", "string", 1},
                                  {"Kernel-Version", "kernel", "string", 1},
                                  {"Container-Runtime", "what runs containers", "string", 1}},
                                 node_cells};
  static const TableLayout events{{{"Last Seen", "time since it happened last"},
                                   {"Type", "Normal or Warning"},
                                   {"Reason", "what, in one word"},
                                   {"Object", "to what"},
                                   {"Subobject", "to which part", "string", 1},
                                   {"Source", "who says so", "string", 1},
                                   {"Message", "what, in a sentence"},
                                   {"First Seen", "time since it happened first", "string", 1},
                                   {"Count", "how often", "string", 1},
                                   {"Name", "name of the event", "string", 1}},
                                  event_cells};
  static const TableLayout endpoints{{kName, {"Endpoints", "addresses"}, kAge}, endpoints_cells};
  static const TableLayout leases{{kName, {"Holder", "who holds it"}, kAge}, lease_cells};
  const kube::Resource& resource = kind.resource;
  return resource == kube::kNamespaces        ? &namespaces
         : resource == kube::kConfigMaps      ? &config_maps
         : resource == kube::kSecrets         ? &secrets
         : resource == kube::kServiceAccounts ? &accounts
         : resource == kube::kNodes           ? &nodes
         : resource == kube::kEvents          ? &events
         : resource == kube::kLeases          ? &leases
         : resource.plural == "endpoints"     ? &endpoints
                                              : nullptr;
}

}  // namespace llmd::apiserver
