// What is scraped from endpoints and how: the plugins metrics-data-source, multicluster-metrics-data-source,
// models-data-source, dcgm-data-source, core-metrics-extractor and file-discovery hold parameters; the
// scraper (scraper.h) acts on them. Notifications of Kubernetes are followed elsewhere; their sources hold
// names.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "async/snapshot.h"
#include "picker/datalayer/metrics_scanner.h"
#include "picker/registry.h"

namespace llmd::picker {

class PollSource : public Measured {
 public:
  enum class Kind { Metrics, Clusters, Models, Dcgm };
  static constexpr std::size_t kKinds = 4;
  struct Options {
    Kind kind = Kind::Metrics;
    bool https = false;
    std::string path = "/metrics";
    int port = 0;          // at the endpoint's own host; 0: its metrics address
    bool at_node = false;  // with a port: at the machine's address, where that is known
    bool verify = false;
    std::string ca_file;  // empty: the system's; without effect where nothing is verified
    std::string certificate_file;
    std::string key_file;
    Duration interval{};  // zero: as often as the scraper looks
  };
  explicit PollSource(Options options_) : options(std::move(options_)) {}
  const Options options;

  // Whether there are numbers on its pages, for a CoreMetricsExtractor to find.
  bool has_numbers() const { return options.kind != Kind::Models; }

  // Of the scraper, for the metrics: an endpoint did not answer.
  void count_failed_poll() const { failed_polls_.fetch_add(1, std::memory_order_relaxed); }
  std::uint64_t failed_polls() const { return failed_polls_.load(std::memory_order_relaxed); }
  // Of the scraper: its certificates were read again, and could be used or not.
  void count_reload(bool used) const {
    (used ? reloads_ : refused_reloads_).fetch_add(1, std::memory_order_relaxed);
  }
  // Of the scraper: why what stands in its files cannot be used; nothing: it can.
  void set_problem(std::optional<Error> problem) const;
  std::optional<Error> problem() const;
  void write(Page& page) const override;

 private:
  mutable std::atomic<std::uint64_t> failed_polls_{0};
  mutable std::atomic<std::uint64_t> reloads_{0};
  mutable std::atomic<std::uint64_t> refused_reloads_{0};
  mutable std::mutex mutex_;
  mutable std::optional<Error> problem_;
};

// Kubernetes tells of changes instead of being asked. One per kind of object; empty: endpoints.
class NotificationSource : public Plugin {
 public:
  explicit NotificationSource(std::string object_kind) : kind(std::move(object_kind)) {}
  const std::string kind;  // group/version/kind
};

// Chooses the names by the endpoint's engine label.
class CoreMetricsExtractor : public Measured {
 public:
  CoreMetricsExtractor(std::vector<std::string> labels, std::string fallback,
                       std::vector<MetricsScanner> scanners)
      : labels_(std::move(labels)), default_(std::move(fallback)), scanners_(std::move(scanners)) {}
  const MetricsScanner& scanner_for(const Endpoint& endpoint) const;

  // Once for each source whose pages it reads, before it is used.
  void serve(PollSource::Kind source);
  // Of the scraper, for the metrics: there is nothing that is wanted on a page of such a source.
  void count_empty_page(PollSource::Kind source) const;
  void write(Page& page) const override;

 private:
  const MetricsScanner* find(std::string_view engine) const;
  const std::vector<std::string> labels_;  // the first present one counts
  const std::string default_;
  const std::vector<MetricsScanner> scanners_;
  std::array<bool, PollSource::kKinds> serves_ = {};
  mutable std::array<std::atomic<std::uint64_t>, PollSource::kKinds> empty_pages_ = {};
};

class FileDiscovery : public EndpointWatcher, public Inspectable {
 public:
  FileDiscovery(std::string path_, bool watch_) : path(std::move(path_)), watch(watch_) {}
  const std::string path;
  const bool watch;

  void endpoints_changed(const EndpointSnapshot& snapshot) const override;
  json::Value state() const override;

 private:
  mutable async::Snapshot<std::vector<std::string>> names_;
  mutable std::atomic<bool> ready_ = false;
};

Result<std::unique_ptr<Plugin>> make_metrics_source(PluginSetup& setup);
// Of the pickers of other clusters: https, verified, and always at their metrics addresses.
Result<std::unique_ptr<Plugin>> make_multicluster_source(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_models_source(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_dcgm_source(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_core_metrics_extractor(PluginSetup& setup);
// The endpoint's busiest GPU, as the attribute GPUUtilization, 0..1. An exporter names the pod that a GPU is
// lent to where it knows.
Result<std::unique_ptr<Plugin>> make_dcgm_extractor(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_file_discovery(PluginSetup& setup);
// Sources and extractors whose work is done elsewhere in this program, or that need nothing done: their names
// and parameters are accepted.
Result<std::unique_ptr<Plugin>> make_kubernetes_source(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_endpoint_source(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_passive_extractor(PluginSetup& setup);

}  // namespace llmd::picker
