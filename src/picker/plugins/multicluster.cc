#include "picker/plugins/multicluster.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "picker/datalayer/sources.h"

namespace llmd::picker {
namespace {

class ClusterScorer final : public Producer, public Scorer {
 public:
  ClusterScorer(std::size_t slot, Column column, bool by_range)
      : slot_(slot), column_(column), by_range_(by_range) {}

  void produce(Cycle& cycle) const override {
    const auto values = cycle.fill(column_);
    for (const Row row : cycle.candidates()) {
      values[row] = cycle.endpoint(row).custom(slot_);
    }
  }

  // Clusters that say nothing score 0.
  void score(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const override {
    const auto values = cycle.column(column_);
    double low = std::numeric_limits<double>::infinity();
    double high = -low;
    for (const Row row : rows) {
      if (!std::isnan(values[row])) {
        low = std::min<double>(low, values[row]);
        high = std::max<double>(high, values[row]);
      }
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double value = values[rows[i]];
      if (!std::isnan(value)) {
        scores[i] = !by_range_ ? 1 - value : high > low ? (high - value) / (high - low) : 1;
      }
    }
  }

 private:
  const std::size_t slot_;
  const Column column_;
  const bool by_range_;
};

constexpr std::string_view kQueue = "llm-d.ai/multicluster-queue-size";
constexpr std::string_view kUsage = "llm-d.ai/multicluster-kv-cache-utilization";

Result<std::unique_ptr<Plugin>> make(PluginSetup& setup, std::string_view attribute, bool by_range) {
  setup.parameters.accept_all();
  setup.require("metrics", "multicluster-metrics-extractor", nullptr);
  return std::make_unique<ClusterScorer>(
      setup.custom_metric(attribute), setup.names().column(fmt::format("attribute/{}", attribute)), by_range);
}

}  // namespace

Result<std::unique_ptr<Plugin>> make_multicluster_queue_scorer(PluginSetup& setup) {
  return make(setup, kQueue, true);
}

Result<std::unique_ptr<Plugin>> make_multicluster_kv_scorer(PluginSetup& setup) {
  return make(setup, kUsage, false);
}

Result<std::unique_ptr<Plugin>> make_multicluster_extractor(PluginSetup& setup) {
  std::string usage = "llm_d_epp_average_kv_cache_utilization";
  std::string queue = "llm_d_epp_average_queue_size";
  setup.parameters.read("kvCacheUtilizationMetric", usage);
  setup.parameters.read("queueSizeMetric", queue);
  EngineMapping mapping{.engine = "picker"};
  LLMD_TRY(const MetricSpec queue_spec, MetricSpec::parse(queue));
  LLMD_TRY(const MetricSpec usage_spec, MetricSpec::parse(usage));
  mapping.custom = {{setup.custom_metric(kQueue), queue_spec}, {setup.custom_metric(kUsage), usage_spec}};
  std::vector<MetricsScanner> scanners;
  scanners.emplace_back(std::move(mapping));
  return std::make_unique<CoreMetricsExtractor>(std::vector<std::string>(), "picker", std::move(scanners));
}

}  // namespace llmd::picker
