// EndpointPickerConfig: the document that says which plugins decide. Read from YAML or JSON, of both API
// groups (llm-d.ai/v1alpha1 and inference.networking.x-k8s.io/v1alpha1) and of every era since
// llm-d-inference-scheduler v0.2; specs are named in docs/reference.
//
// Mistakes carry file, line, path and the nearest known name. A plugin parameter that no era knows is an
// error under llm-d.ai and in strict loading (`llmd check`), and a warning under the older group.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "json/value.h"

namespace llmd::json {
struct YamlDocument;
}

namespace llmd::picker {

struct LoadOptions {
  bool allow_experimental = false;  // alpha plugins (--allow-experimental-plugins)
  bool strict = false;              // warnings are errors
  std::uint64_t seed = 0;           // of random choices; 0: a fresh one per process
  // Parameters of metrics-data-source and core-metrics-extractor where the document gives none.
  json::Object metrics_source = {};
  json::Object metrics_extractor = {};
};

struct PluginEntry {
  std::string name;
  std::string type;
  json::Object parameters;
  std::string path;  // plugins[2], for messages
};

struct ProfileEntry {
  struct Use {
    std::string plugin;
    std::optional<double> weight;
    std::string path;
  };
  std::string name;
  std::vector<Use> plugins;
  std::string path;
};

struct SourceEntry {
  std::string plugin;
  std::vector<std::string> extractors;
  std::string path;
};

struct BandEntry {
  int priority = 0;
  std::int64_t max_bytes = 1'000'000'000;
  std::int64_t max_requests = 5000;
  std::string fairness = "global-strict-fairness-policy";
  std::string ordering = "fcfs-ordering-policy";
};

struct FlowEntry {
  std::int64_t max_bytes = 0;  // 0: no limit
  std::int64_t max_requests = 0;
  Duration request_ttl = std::chrono::seconds(60);  // zero: none
  std::optional<Duration> no_endpoint_ttl;          // absent: request_ttl
  BandEntry default_band;
  std::optional<BandEntry> default_negative_band;
  std::vector<BandEntry> bands;
  std::string usage_limit = "static-usage-limit-policy";
  bool eviction = false;
};

struct Configuration {
  std::string source_name = "default";
  std::string text;           // as read, for replay
  bool older_group = false;   // inference.networking.x-k8s.io
  bool flow_control = false;  // gate
  bool follower_datastore = true;
  std::vector<PluginEntry> plugins;
  std::vector<ProfileEntry> profiles;
  bool inject_sources = true;
  std::vector<SourceEntry> sources;
  std::string discovery;            // plugin name; empty: Kubernetes
  std::string saturation_detector;  // plugin name; empty: utilization-detector
  std::vector<std::string> parsers;
  FlowEntry flow;
  std::vector<std::string> warnings;

  // Where the configuration stands in a larger document; empty: it is the document.
  std::string within;

  std::string place(std::string_view path) const;          // "picker.yaml:12:5"
  std::map<std::string, std::string, std::less<>> places;  // by path
};

// The text's structure; plugins are made later. Empty text is the default configuration.
Result<Configuration> parse_configuration(std::string_view text, std::string_view source_name,
                                          const LoadOptions& options = {});
// The same of a part of a document, such as spec.router.scheduler.config.inline of a manifest; messages name
// the whole path.
Result<Configuration> parse_configuration(const json::YamlDocument& document, std::string_view at,
                                          const LoadOptions& options = {});
// queue 2, kv-cache utilisation 2, prefix cache 3.
std::string_view default_configuration();

// Everything `llmd check` wants to know: all problems of the text, warnings first.
struct CheckReport {
  std::vector<std::string> warnings;
  std::vector<std::string> errors;
};
CheckReport check_configuration(std::string_view text, std::string_view source_name,
                                LoadOptions options = {});
CheckReport check_configuration(const json::YamlDocument& document, std::string_view at,
                                LoadOptions options = {});

}  // namespace llmd::picker
