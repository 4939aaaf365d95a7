#include "picker/datalayer/sources.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "picker/dumped_endpoints.h"
#include "picker/metrics/page.h"

namespace llmd::picker {
namespace {

// By kind.
constexpr std::string_view kSourceTypes[] = {"metrics-data-source", "multicluster-metrics-data-source",
                                             "models-data-source", "dcgm-data-source"};
constexpr std::string_view kPrefixes[] = {"llm_d_epp_", "llm_d_inference_scheduler_"};

void read_poll_options(PluginSetup& setup, PollSource::Options& options) {
  Parameters& parameters = setup.parameters;
  int scheme = options.https ? 1 : 0;
  bool insecure = !options.verify;
  parameters.read_choice("scheme", scheme, {"http", "https"});
  parameters.read("path", options.path);
  parameters.read("port", options.port);
  parameters.read("insecureSkipVerify", insecure);
  parameters.read("caCertPath", options.ca_file);
  parameters.read("clientCertPath", options.certificate_file);
  parameters.read("clientKeyPath", options.key_file);
  parameters.read("interval", options.interval);
  if (options.certificate_file.empty() != options.key_file.empty()) {
    const bool no_key = options.key_file.empty();
    parameters.reject(no_key ? "clientKeyPath" : "clientCertPath",
                      "a certificate and its key are given together");
  }
  options.https = scheme == 1;
  options.verify = !insecure;
  if (options.port < 0 || options.port > 65535) {
    parameters.reject("port", "must be a port, 1 to 65535");
  }
  if (options.interval < Duration::zero()) {
    parameters.reject("interval", "must not be negative");
  }
}

Result<std::unique_ptr<Plugin>> make(PluginSetup& setup, PollSource::Options options) {
  read_poll_options(setup, options);
  if (options.kind == PollSource::Kind::Clusters) {
    options.port = 0;  // said by the endpoints
  }
  return std::make_unique<PollSource>(std::move(options));
}

void read_spec(Parameters& from, std::string_view name, MetricSpec& into) {
  std::string text;
  from.read(name, text);
  if (from.has(name)) {
    auto parsed = MetricSpec::parse(text);
    parsed ? void(into = std::move(*parsed)) : from.reject(name, parsed.error().message);
  }
}

void read_specs(Parameters& from, std::string_view name, std::vector<MetricSpec>& into) {
  if (from.has(name)) {
    into.assign(1, MetricSpec());
  }
  MetricSpec spec;
  read_spec(from, name, into.empty() ? spec : into.front());
}

EngineMapping read_engine(Parameters& from) {
  EngineMapping mapping;
  from.read("name", mapping.engine);
  if (mapping.engine.empty() || mapping.engine == "default") {
    from.reject("name", mapping.engine.empty() ? "is required" : "'default' is reserved");
  }
  read_specs(from, "queuedRequestsSpec", mapping.queued);
  read_specs(from, "runningRequestsSpec", mapping.running);
  read_specs(from, "kvUsageSpec", mapping.kv_usage);
  read_spec(from, "loraSpec", mapping.lora);
  read_spec(from, "cacheInfoSpec", mapping.cache_info);
  mapping.block_size_label = "block_size";
  mapping.num_blocks_label = "num_gpu_blocks";
  from.read("cacheBlockSizeLabelName", mapping.block_size_label);
  from.read("cacheNumBlocksLabelName", mapping.num_blocks_label);
  read_spec(from, "cacheBlockSizeSpec", mapping.block_size);
  read_spec(from, "cacheNumBlocksSpec", mapping.num_blocks);
  return mapping;
}

using CustomMetrics = std::vector<std::pair<std::size_t, MetricSpec>>;

// Scalars that become attributes of endpoints.
CustomMetrics read_custom(PluginSetup& setup, Parameters& from) {
  CustomMetrics custom;
  std::set<std::string> names;
  for (Parameters* item : from.objects("customMetrics")) {
    std::string attribute;
    item->read("attributeKey", attribute);
    MetricSpec spec;
    read_spec(*item, "metricSpec", spec);
    if (attribute.empty()) {
      item->reject("attributeKey", "is required");
    } else if (!names.insert(attribute).second) {
      item->reject("attributeKey", fmt::format("'{}' is given twice", attribute));
    } else if (!item->has("metricSpec")) {
      item->reject("metricSpec", "is required");
    } else {
      custom.emplace_back(setup.custom_metric(attribute), std::move(spec));
    }
  }
  return custom;
}

// The usual engines, and those of the document in place of ones of the same name.
std::vector<EngineMapping> read_engines(PluginSetup& setup) {
  std::vector<EngineMapping> engines = builtin_engines();
  std::set<std::string> given;
  for (Parameters* item : setup.parameters.objects("engineConfigs")) {
    EngineMapping mapping = read_engine(*item);
    mapping.custom = read_custom(setup, *item);
    if (!given.insert(mapping.engine).second) {
      item->reject("name", fmt::format("'{}' is given twice", mapping.engine));
    }
    const auto same = std::ranges::find(engines, mapping.engine, &EngineMapping::engine);
    if (same != engines.end()) {
      *same = std::move(mapping);
    } else {
      engines.push_back(std::move(mapping));
    }
  }
  const CustomMetrics of_all = read_custom(setup, setup.parameters);
  for (EngineMapping& engine : engines) {
    engine.custom.insert(engine.custom.end(), of_all.begin(), of_all.end());
  }
  return engines;
}

}  // namespace

const MetricsScanner* CoreMetricsExtractor::find(std::string_view engine) const {
  const auto found = std::ranges::find(scanners_, engine, &MetricsScanner::engine);
  return found == scanners_.end() ? nullptr : &*found;
}

void PollSource::write(Page& page) const {
  const auto failed = static_cast<double>(failed_polls_.load(std::memory_order_relaxed));
  for (const std::string_view prefix : kPrefixes) {
    page.counter(fmt::format("{}datalayer_poll_errors_total", prefix), "Endpoints that did not answer.",
                 {{"source_type", type}}, failed);
  }
  for (const auto& [outcome, count] :
       {std::pair("used", &reloads_), std::pair("refused", &refused_reloads_)}) {
    page.counter("llmd_data_source_certificate_reloads_total",
                 "Times that the certificates of a data source changed, and whether the new ones were used.",
                 {{"plugin_name", name}, {"outcome", outcome}},
                 static_cast<double>(count->load(std::memory_order_relaxed)));
  }
  page.gauge("llmd_data_source_problems", "Whether what stands in the files of a data source cannot be used.",
             {{"plugin_name", name}}, problem() ? 1 : 0);
}

void PollSource::set_problem(std::optional<Error> problem) const {
  const std::lock_guard lock(mutex_);
  problem_ = std::move(problem);
}

std::optional<Error> PollSource::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

void FileDiscovery::endpoints_changed(const EndpointSnapshot& snapshot) const {
  auto names = std::make_shared<std::vector<std::string>>();
  for (const EndpointPtr& endpoint : snapshot.endpoints) {
    names->push_back(endpoint->full_name);
  }
  std::ranges::sort(*names);
  names_.store(std::move(names));
  ready_ = true;
}

json::Value FileDiscovery::state() const {
  json::Array names;
  const auto known = names_.load();
  for (const std::string& each : *known) {
    names.emplace_back(each);
  }
  json::Object said = dumped_endpoints(std::move(names));
  said["path"] = path;
  said["watchFile"] = watch;
  said["ready"] = ready_.load();
  return json::Value(std::move(said));
}

void CoreMetricsExtractor::serve(PollSource::Kind source) {
  serves_[static_cast<std::size_t>(source)] = true;
}

void CoreMetricsExtractor::count_empty_page(PollSource::Kind source) const {
  empty_pages_[static_cast<std::size_t>(source)].fetch_add(1, std::memory_order_relaxed);
}

void CoreMetricsExtractor::write(Page& page) const {
  const std::string_view now =
      type == "model-server-protocol-metrics" ? "core-metrics-extractor" : std::string_view(type);
  for (std::size_t kind = 0; kind < serves_.size(); ++kind) {
    for (const std::string_view prefix : kPrefixes) {
      if (serves_[kind]) {
        page.counter(fmt::format("{}datalayer_extract_errors_total", prefix),
                     "Pages without any number that is wanted.",
                     {{"source_type", kSourceTypes[kind]}, {"extractor_type", now}},
                     static_cast<double>(empty_pages_[kind].load(std::memory_order_relaxed)));
      }
    }
  }
}

const MetricsScanner& CoreMetricsExtractor::scanner_for(const Endpoint& endpoint) const {
  for (const std::string& label : labels_) {
    const std::string* engine = endpoint.label(label);
    if (const MetricsScanner* scanner = engine != nullptr ? find(*engine) : nullptr) {
      return *scanner;
    }
  }
  const MetricsScanner* scanner = find(default_);
  return scanner != nullptr ? *scanner : scanners_.front();
}

Result<std::unique_ptr<Plugin>> make_metrics_source(PluginSetup& setup) {
  return make(setup, {});
}

Result<std::unique_ptr<Plugin>> make_multicluster_source(PluginSetup& setup) {
  return make(setup, {.kind = PollSource::Kind::Clusters, .https = true, .verify = true});
}

Result<std::unique_ptr<Plugin>> make_models_source(PluginSetup& setup) {
  return make(setup, {.kind = PollSource::Kind::Models, .path = "/v1/models"});
}

Result<std::unique_ptr<Plugin>> make_dcgm_source(PluginSetup& setup) {
  PollSource::Options options{.kind = PollSource::Kind::Dcgm, .port = 9400};
  setup.parameters.read("useNodeAddress", options.at_node);
  return make(setup, std::move(options));
}

Result<std::unique_ptr<Plugin>> make_core_metrics_extractor(PluginSetup& setup) {
  std::string label;
  std::string fallback = "vllm";
  setup.parameters.read("engineLabelKey", label);
  setup.parameters.read("defaultEngine", fallback);
  std::vector<std::string> labels = {"llm-d.ai/engine-type", "inference.networking.k8s.io/engine-type"};
  if (!label.empty()) {
    labels.assign(1, label);
  }
  std::vector<EngineMapping> engines = read_engines(setup);
  if (std::ranges::find(engines, fallback, &EngineMapping::engine) == engines.end()) {
    setup.parameters.reject("defaultEngine", fmt::format("there is no engine '{}'", fallback));
  }
  std::vector<MetricsScanner> scanners;
  for (EngineMapping& engine : engines) {
    scanners.emplace_back(std::move(engine));
  }
  return std::make_unique<CoreMetricsExtractor>(std::move(labels), std::move(fallback), std::move(scanners));
}

Result<std::unique_ptr<Plugin>> make_dcgm_extractor(PluginSetup& setup) {
  setup.parameters.accept_all();
  EngineMapping mapping{.engine = "dcgm"};
  LLMD_TRY(const MetricSpec utilization, MetricSpec::parse("DCGM_FI_DEV_GPU_UTIL"));
  mapping.custom = {{setup.custom_metric("GPUUtilization"), utilization}};
  mapping.custom_scale = 0.01F;  // it counts in percent
  mapping.of_pod = true;
  std::vector<MetricsScanner> scanners;
  scanners.emplace_back(std::move(mapping));
  return std::make_unique<CoreMetricsExtractor>(std::vector<std::string>(), "dcgm", std::move(scanners));
}

Result<std::unique_ptr<Plugin>> make_file_discovery(PluginSetup& setup) {
  std::string path;
  bool watch = false;
  setup.parameters.read("path", path);
  setup.parameters.read("watchFile", watch);
  if (path.empty()) {
    setup.parameters.reject("path", "is required");
  }
  return std::make_unique<FileDiscovery>(std::move(path), watch);
}

Result<std::unique_ptr<Plugin>> make_kubernetes_source(PluginSetup& setup) {
  std::string group;
  std::string version;
  std::string kind;
  setup.parameters.read("group", group);
  setup.parameters.read("version", version);
  setup.parameters.read("kind", kind);
  return std::make_unique<NotificationSource>(fmt::format("{}/{}/{}", group, version, kind));
}

Result<std::unique_ptr<Plugin>> make_endpoint_source(PluginSetup& setup) {
  setup.parameters.accept_all();
  return std::make_unique<NotificationSource>("");
}

Result<std::unique_ptr<Plugin>> make_passive_extractor(PluginSetup& setup) {
  setup.parameters.accept_all();
  return std::make_unique<Plugin>();
}

}  // namespace llmd::picker
