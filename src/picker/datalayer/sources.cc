#include "picker/datalayer/sources.h"

#include <fmt/format.h>

#include <algorithm>

#include "picker/metrics/page.h"

namespace llmd::picker {
namespace {

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
  from.read("cacheBlockSizeLabelName", mapping.block_size_label);
  from.read("cacheNumBlocksLabelName", mapping.num_blocks_label);
  read_spec(from, "cacheBlockSizeSpec", mapping.block_size);
  read_spec(from, "cacheNumBlocksSpec", mapping.num_blocks);
  return mapping;
}

}  // namespace

const MetricsScanner* CoreMetricsExtractor::find(std::string_view engine) const {
  const auto found = std::ranges::find(scanners_, engine, &MetricsScanner::engine);
  return found == scanners_.end() ? nullptr : &*found;
}

void PollSource::write(Page& page) const {
  const auto failed = static_cast<double>(failed_polls_.load(std::memory_order_relaxed));
  const auto empty = static_cast<double>(empty_pages_.load(std::memory_order_relaxed));
  for (const std::string_view prefix : {"llm_d_epp_", "llm_d_inference_scheduler_"}) {
    page.counter(fmt::format("{}datalayer_poll_errors_total", prefix), "Endpoints that did not answer.",
                 {{"source_type", type}}, failed);
    if (options.kind == Kind::Metrics) {
      page.counter(fmt::format("{}datalayer_extract_errors_total", prefix),
                   "Pages without any number that is wanted.",
                   {{"source_type", type}, {"extractor_type", "core-metrics-extractor"}}, empty);
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

Result<std::unique_ptr<Plugin>> make_models_source(PluginSetup& setup) {
  return make(setup, {.kind = PollSource::Kind::Models, .path = "/v1/models"});
}

Result<std::unique_ptr<Plugin>> make_dcgm_source(PluginSetup& setup) {
  setup.parameters.accept({"useNodeAddress"});
  return make(setup, {.kind = PollSource::Kind::Dcgm, .port = 9400});
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
  std::vector<EngineMapping> engines = builtin_engines();
  for (Parameters* item : setup.parameters.objects("engineConfigs")) {
    EngineMapping mapping = read_engine(*item);
    const auto same = std::ranges::find(engines, mapping.engine, &EngineMapping::engine);
    if (same != engines.end()) {
      *same = std::move(mapping);
    } else {
      engines.push_back(std::move(mapping));
    }
  }
  for (Parameters* item : setup.parameters.objects("customMetrics")) {
    std::string attribute;
    item->read("attributeKey", attribute);
    MetricSpec spec;
    read_spec(*item, "metricSpec", spec);
    if (attribute.empty()) {
      item->reject("attributeKey", "is required");
      continue;
    }
    const std::size_t slot = setup.custom_metric(attribute);
    for (EngineMapping& engine : engines) {
      engine.custom.emplace_back(slot, spec);
    }
  }
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

Result<std::unique_ptr<Plugin>> make_notification_source(PluginSetup& setup) {
  setup.parameters.accept({"group", "version", "kind"});
  return std::make_unique<Plugin>();
}

Result<std::unique_ptr<Plugin>> make_passive_extractor(PluginSetup& setup) {
  setup.parameters.accept_all();
  return std::make_unique<Plugin>();
}

}  // namespace llmd::picker
