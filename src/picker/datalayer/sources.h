// What is scraped from endpoints and how: the plugins metrics-data-source, models-data-source,
// dcgm-data-source, core-metrics-extractor and file-discovery hold parameters; the scraper (scraper.h) acts
// on them.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "picker/datalayer/metrics_scanner.h"
#include "picker/registry.h"

namespace llmd::picker {

class PollSource : public Measured {
 public:
  enum class Kind { Metrics, Models, Dcgm };
  struct Options {
    Kind kind = Kind::Metrics;
    bool https = false;
    std::string path = "/metrics";
    int port = 0;  // 0: the endpoint's metrics address
    bool verify = false;
    std::string ca_file;
    std::string certificate_file;
    std::string key_file;
    Duration interval{};  // zero: as often as the scraper looks
  };
  explicit PollSource(Options options_) : options(std::move(options_)) {}
  const Options options;

  // Of the scraper, for the metrics: an endpoint did not answer, or its page says nothing that is wanted.
  void count_failed_poll() const { failed_polls_.fetch_add(1, std::memory_order_relaxed); }
  void count_empty_page() const { empty_pages_.fetch_add(1, std::memory_order_relaxed); }
  void write(Page& page) const override;

 private:
  mutable std::atomic<std::uint64_t> failed_polls_{0};
  mutable std::atomic<std::uint64_t> empty_pages_{0};
};

// Chooses the names by the endpoint's engine label.
class CoreMetricsExtractor : public Plugin {
 public:
  CoreMetricsExtractor(std::vector<std::string> labels, std::string fallback,
                       std::vector<MetricsScanner> scanners)
      : labels_(std::move(labels)), default_(std::move(fallback)), scanners_(std::move(scanners)) {}
  const MetricsScanner& scanner_for(const Endpoint& endpoint) const;

 private:
  const MetricsScanner* find(std::string_view engine) const;
  const std::vector<std::string> labels_;  // the first present one counts
  const std::string default_;
  const std::vector<MetricsScanner> scanners_;
};

class FileDiscovery : public Plugin {
 public:
  FileDiscovery(std::string path_, bool watch_) : path(std::move(path_)), watch(watch_) {}
  const std::string path;
  const bool watch;
};

Result<std::unique_ptr<Plugin>> make_metrics_source(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_models_source(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_dcgm_source(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_core_metrics_extractor(PluginSetup& setup);
// The busiest GPU of an endpoint's exporter, as the attribute GPUUtilization.
Result<std::unique_ptr<Plugin>> make_dcgm_extractor(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_file_discovery(PluginSetup& setup);
// Sources and extractors whose work is done elsewhere in this program, or that need nothing done: their names
// and parameters are accepted.
Result<std::unique_ptr<Plugin>> make_notification_source(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_passive_extractor(PluginSetup& setup);

}  // namespace llmd::picker
