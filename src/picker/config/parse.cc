// The structure of an EndpointPickerConfig; what plugins mean is build_plan.cc's.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "json/path.h"
#include "json/yaml.h"
#include "picker/config.h"
#include "picker/config/problems.h"
#include "picker/parameters.h"

namespace llmd::picker {
namespace {

constexpr std::string_view kCurrentGroup = "llm-d.ai/v1alpha1";
constexpr std::string_view kOlderGroup = "inference.networking.x-k8s.io/v1alpha1";

// Kubernetes quantities: 500, 1k, 10Gi.
void read_quantity(Parameters& from, std::string_view name, std::int64_t& into) {
  const json::Value* value = from.value(name);
  if (value == nullptr) {
    return;
  }
  if (const auto number = json::as_integer(*value)) {
    into = *number;
  } else if (value->is_string()) {
    static constexpr std::pair<std::string_view, double> kUnits[] = {
        {"Ki", 0x1p10}, {"Mi", 0x1p20}, {"Gi", 0x1p30}, {"Ti", 0x1p40}, {"Pi", 0x1p50}, {"k", 1e3},
        {"M", 1e6},     {"G", 1e9},     {"T", 1e12},    {"P", 1e15},    {"", 1}};
    const std::string_view text(value->get_string().data(), value->get_string().size());
    for (const auto& [suffix, factor] : kUnits) {
      if (text.ends_with(suffix)) {
        const auto amount = parse_number(text.substr(0, text.size() - suffix.size()));
        amount ? void(into = static_cast<std::int64_t>(*amount * factor))
               : from.reject(name, fmt::format("\"{}\" is not a quantity", text));
        break;
      }
    }
  } else {
    from.reject(name, "expected a quantity such as 500 or \"10Gi\"");
  }
  if (into < 0) {
    from.reject(name, "must not be negative");
  }
}

void read_band(Parameters& from, BandEntry& band) {
  from.read("priority", band.priority);
  read_quantity(from, "maxBytes", band.max_bytes);
  read_quantity(from, "maxRequests", band.max_requests);
  from.read("fairnessPolicyRef", band.fairness);
  from.read("orderingPolicyRef", band.ordering);
  const BandEntry defaults;
  band.max_bytes = band.max_bytes == 0 ? defaults.max_bytes : band.max_bytes;
  band.max_requests = band.max_requests == 0 ? defaults.max_requests : band.max_requests;
}

void read_reference(Parameters& from, std::string_view name, std::string& into) {
  if (from.has(name)) {
    Parameters& reference = from.object(name);
    reference.read("pluginRef", into);
  } else {
    from.accept({name});
  }
}

void read_ttl(Parameters& from, std::string_view name, Duration& into) {
  from.read(name, into);
  if (into < Duration::zero()) {
    from.reject(name, "must not be negative");
  }
}

void read_flow(Parameters& from, FlowEntry& flow, std::string& detector) {
  read_quantity(from, "maxBytes", flow.max_bytes);
  read_quantity(from, "maxRequests", flow.max_requests);
  read_ttl(from, "defaultRequestTTL", flow.request_ttl);
  if (from.has("noEndpointRequestTTL")) {
    flow.no_endpoint_ttl.emplace();
    read_ttl(from, "noEndpointRequestTTL", *flow.no_endpoint_ttl);
  }
  from.accept({"noEndpointRequestTTL"});
  if (from.has("defaultPriorityBand")) {
    read_band(from.object("defaultPriorityBand"), flow.default_band);
  }
  if (from.has("defaultNegativePriorityBand")) {
    read_band(from.object("defaultNegativePriorityBand"), flow.default_negative_band.emplace());
  }
  from.accept({"defaultPriorityBand", "defaultNegativePriorityBand"});
  std::set<int> priorities;
  for (Parameters* item : from.objects("priorityBands")) {
    BandEntry& band = flow.bands.emplace_back();
    read_band(*item, band);
    if (!item->has("priority")) {
      item->reject("priority", "is required");
    } else if (!priorities.insert(band.priority).second) {
      item->reject("priority", fmt::format("{} is given twice", band.priority));
    }
  }
  from.read("usageLimitPolicyPluginRef", flow.usage_limit);
  from.read("enableEviction", flow.eviction);
  read_reference(from, "saturationDetector", detector);
}

// "flowControl" or "flowControl=false"; the value as Go's ParseBool reads it.
void read_gates(Parameters& root, Configuration& configuration) {
  std::vector<std::string> gates;
  root.read("featureGates", gates);
  for (const std::string& gate : gates) {
    const auto equals = gate.find('=');
    const std::string name = gate.substr(0, equals);
    bool on = true;
    if (equals != std::string::npos) {
      static constexpr std::string_view kTrue[] = {"1", "t", "T", "TRUE", "true", "True"};
      static constexpr std::string_view kFalse[] = {"0", "f", "F", "FALSE", "false", "False"};
      const std::string_view value = trim(std::string_view(gate).substr(equals + 1));
      on = std::ranges::find(kTrue, value) != std::end(kTrue);
      if (!on && std::ranges::find(kFalse, value) == std::end(kFalse)) {
        root.reject("featureGates", fmt::format("\"{}\": expected true or false after '='", gate));
      }
    }
    static constexpr std::string_view kPast[] = {"dataLayer", "enableLegacyMetrics", "prepareDataPlugins"};
    if (name == "flowControl") {
      configuration.flow_control = on;
    } else if (name == "haPopulateNonLeaderDatastore") {
      configuration.follower_datastore = on;
    } else if (std::ranges::find(kPast, name) != std::end(kPast)) {
      configuration.warnings.push_back(fmt::format("{}: feature gate '{}' has no effect any more; remove it",
                                                   configuration.place("featureGates"), name));
    } else {
      root.reject("featureGates", fmt::format("feature gate '{}' is unknown or unregistered", name));
    }
  }
}

void read_plugins(Parameters& root, Configuration& configuration) {
  std::set<std::string> names;
  for (Parameters* item : root.objects("plugins")) {
    PluginEntry& entry = configuration.plugins.emplace_back();
    entry.path = item->path();
    item->read("name", entry.name);
    item->read("type", entry.type);
    if (item->has("parameters")) {
      Parameters& parameters = item->object("parameters");
      parameters.accept_all();
      if (parameters.json() != nullptr) {
        entry.parameters = *parameters.json();
      }
    }
    item->accept({"parameters"});
    if (entry.type.empty()) {
      item->reject("type", "is missing");
    }
    entry.name = entry.name.empty() ? entry.type : entry.name;
    if (!names.insert(entry.name).second) {
      item->reject("name", fmt::format("plugin name '{}' is given twice", entry.name));
    }
  }
}

void read_profiles(Parameters& root, Configuration& configuration) {
  std::set<std::string> names;
  for (Parameters* item : root.objects("schedulingProfiles")) {
    ProfileEntry& profile = configuration.profiles.emplace_back();
    profile.path = item->path();
    item->read("name", profile.name);
    if (profile.name.empty()) {
      item->reject("name", "is missing a name");
    } else if (!names.insert(profile.name).second) {
      item->reject("name", fmt::format("profile name '{}' is given twice", profile.name));
    }
    for (Parameters* use : item->objects("plugins")) {
      ProfileEntry::Use& entry = profile.plugins.emplace_back();
      entry.path = use->path();
      use->read("pluginRef", entry.plugin);
      if (use->has("weight")) {
        use->read("weight", entry.weight.emplace(1.0));
      }
      use->accept({"weight"});
      if (entry.plugin.empty()) {
        use->reject("pluginRef", "is missing");
      }
    }
  }
}

// Thresholds written inline, as between 1.1 and 1.4, become a detector of that name.
void read_detector(Parameters& root, Configuration& configuration) {
  if (!root.has("saturationDetector")) {
    root.accept({"saturationDetector"});
    return;
  }
  Parameters& detector = root.object("saturationDetector");
  detector.read("pluginRef", configuration.saturation_detector);
  json::Object inline_thresholds;
  for (const char* name : {"queueDepthThreshold", "kvCacheUtilThreshold", "metricsStalenessThreshold"}) {
    if (const json::Value* value = detector.value(name)) {
      inline_thresholds[name] = *value;
    }
  }
  if (!inline_thresholds.empty() && configuration.saturation_detector.empty()) {
    configuration.saturation_detector = "saturationDetector";
    configuration.plugins.push_back(
        {"saturationDetector", "utilization-detector", std::move(inline_thresholds), detector.path()});
  }
}

void read_data_layer(Parameters& root, Configuration& configuration) {
  if (!root.has("dataLayer")) {
    root.accept({"dataLayer"});
    return;
  }
  Parameters& layer = root.object("dataLayer");
  layer.read("injectDefaults", configuration.inject_sources);
  for (Parameters* item : layer.objects("sources")) {
    SourceEntry& source = configuration.sources.emplace_back();
    source.path = item->path();
    item->read("pluginRef", source.plugin);
    for (Parameters* extractor : item->objects("extractors")) {
      extractor->read("pluginRef", source.extractors.emplace_back());
    }
  }
  read_reference(layer, "discovery", configuration.discovery);
  std::string peers;
  read_reference(layer, "peerDiscovery", peers);
  std::string syncer;
  layer.read("crossReplicaSyncerPluginRef", syncer);
  layer.accept({"crossReplicaSyncInterval"});
  if (!syncer.empty()) {
    layer.reject("crossReplicaSyncerPluginRef", "there is no plugin that synchronises replicas");
  }
}

void read_parsers(Parameters& root, Configuration& configuration) {
  std::string single;
  read_reference(root, "parser", single);
  if (root.has("requestHandler")) {
    for (Parameters* item : root.object("requestHandler").objects("parsers")) {
      item->read("pluginRef", configuration.parsers.emplace_back());
    }
  }
  root.accept({"requestHandler"});
  if (configuration.parsers.empty() && !single.empty()) {
    configuration.parsers.push_back(single);
  }
}

void read_kind(Parameters& root, Configuration& configuration) {
  std::string api_version;
  std::string kind;
  root.read("apiVersion", api_version);
  root.read("kind", kind);
  configuration.older_group = api_version == kOlderGroup;
  const bool known = api_version.empty() || api_version == kCurrentGroup || configuration.older_group;
  if (!known || (!kind.empty() && kind != "EndpointPickerConfig")) {
    root.reject(known ? "kind" : "apiVersion",
                fmt::format("no kind \"{}\" is registered for version \"{}\"; expected EndpointPickerConfig "
                            "of {} or {}",
                            kind, api_version, kCurrentGroup, kOlderGroup));
  }
}

}  // namespace

std::string_view default_configuration() {
  return R"(apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
- type: metrics-data-source
- type: core-metrics-extractor
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: queue-scorer
    weight: 2
  - pluginRef: kv-cache-utilization-scorer
    weight: 2
  - pluginRef: prefix-cache-scorer
    weight: 3
dataLayer:
  sources:
  - pluginRef: metrics-data-source
    extractors:
    - pluginRef: core-metrics-extractor
)";
}

std::string Configuration::place(std::string_view path) const {
  while (true) {
    const auto found = places.find(path);
    if (found != places.end()) {
      return found->second;
    }
    if (path.empty()) {
      return source_name;
    }
    path = json::path_parent(path);
  }
}

namespace {

// The members of `object`, with the places and the text that `configuration` has already.
Result<Configuration> read_members(const json::Object& object, Configuration configuration,
                                   const LoadOptions& options) {
  Parameters root(&object, "", Parameters::Spelling::Exact);
  read_kind(root, configuration);
  read_gates(root, configuration);
  read_plugins(root, configuration);
  read_profiles(root, configuration);
  read_detector(root, configuration);
  read_data_layer(root, configuration);
  read_parsers(root, configuration);
  if (root.has("flowControl")) {
    std::string detector;
    read_flow(root.object("flowControl"), configuration.flow, detector);
    configuration.saturation_detector = detector.empty() ? configuration.saturation_detector : detector;
    if (!configuration.flow_control) {
      configuration.warnings.push_back(
          fmt::format("{}: flowControl has no effect without the feature gate 'flowControl'",
                      configuration.place("flowControl")));
    }
  }
  root.accept({"flowControl"});
  auto problems = root.problems();
  for (Problem& problem : problems) {
    // The document's own fields are always strict.
    problem.message = problem.unknown_name ? "unknown field" : problem.message;
    problem.unknown_name = false;
  }
  LLMD_TRY_VOID(settle_problems(problems, configuration, options, nullptr));
  return configuration;
}

}  // namespace

Result<Configuration> parse_configuration(std::string_view text, std::string_view source_name,
                                          const LoadOptions& options) {
  if (trim(text).empty()) {
    text = default_configuration();
    source_name = "default configuration";
  }
  LLMD_TRY(const auto documents, json::parse_yaml(text, source_name));
  if (documents.size() != 1 || !documents.front().value.is_object()) {
    return invalid_argument("{}: expected one EndpointPickerConfig", source_name);
  }
  Configuration configuration;
  configuration.source_name = source_name;
  configuration.text = text;
  for (const auto& [path, position] : documents.front().positions) {
    configuration.places[path] = fmt::format("{}:{}:{}", source_name, position.line, position.column);
  }
  return read_members(documents.front().value.get_object(), std::move(configuration), options);
}

Result<Configuration> parse_configuration(const json::YamlDocument& document, std::string_view at,
                                          const LoadOptions& options) {
  const json::Value* part = json::find(document.value, at);
  if (part == nullptr || !part->is_object()) {
    return invalid_argument("{}: {}: expected an EndpointPickerConfig", document.place_of(at), at);
  }
  Configuration configuration;
  configuration.source_name = document.source_name;
  configuration.text = json::write_yaml(*part);
  configuration.within = at;
  const std::string below = std::string(at) + ".";
  for (const auto& [path, position] : document.positions) {
    if (path == at || path.starts_with(below)) {
      configuration.places[path.substr(std::min(path.size(), below.size()))] =
          fmt::format("{}:{}:{}", document.source_name, position.line, position.column);
    }
  }
  return read_members(part->get_object(), std::move(configuration), options);
}

}  // namespace llmd::picker
