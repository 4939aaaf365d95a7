#include "picker/plugins/prefix_cache_affinity_filter.h"

#include <algorithm>
#include <limits>

namespace llmd::picker {
namespace {

struct AffinityOptions {
  double threshold = 0.80;
  double exploration = 0;
  double penalty_ms = 18000;
  double throughput = 15928;  // tokens per second
  bool predicted = false;
};

class PrefixCacheAffinityFilter final : public Filter {
 public:
  PrefixCacheAffinityFilter(AffinityOptions options, PrefixColumns prefix,
                            std::optional<LatencyColumns> latency)
      : options_(options), prefix_(prefix), latency_(latency) {}

  void filter(Cycle& cycle, std::vector<Row>& rows) const override {
    const double total = cycle.scalar(prefix_.total);
    if (rows.size() <= 1 || options_.threshold <= 0 || total <= 0 ||
        (options_.exploration > 0 && cycle.random().uniform() < options_.exploration)) {
      return;
    }
    const auto sticky = [&](Row row) { return cycle.at(prefix_.matched, row) / total >= options_.threshold; };
    double best_sticky = std::numeric_limits<double>::infinity();
    double best_other = best_sticky;
    bool any = false;
    for (const Row row : rows) {
      const bool sticks = sticky(row);
      any = any || sticks;
      double& best = sticks ? best_sticky : best_other;
      best = std::min(best, first_token_ms(cycle, row));
    }
    const bool too_slow = options_.penalty_ms > 0 && best_sticky - best_other > options_.penalty_ms;
    if (any && !too_slow) {
      std::erase_if(rows, [&](Row row) { return !sticky(row); });
    }
  }

 private:
  double first_token_ms(const Cycle& cycle, Row row) const {
    if (latency_) {
      return cycle.at(latency_->known, row) > 0 ? cycle.at(latency_->ttft, row)
                                                : std::numeric_limits<double>::infinity();
    }
    return cycle.at(kInFlightTokens, row) / options_.throughput * 1000;
  }

  const AffinityOptions options_;
  const PrefixColumns prefix_;
  const std::optional<LatencyColumns> latency_;
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_prefix_cache_affinity_filter(PluginSetup& setup) {
  Parameters& parameters = setup.parameters;
  AffinityOptions options;
  int source = 0;
  parameters.read("affinityThreshold", options.threshold);
  parameters.read("explorationProbability", options.exploration);
  parameters.read("maxTTFTPenaltyMs", options.penalty_ms);
  parameters.read("peakPrefillThroughput", options.throughput);
  parameters.read_choice("ttftSource", source, {"prefillThroughput", "latencyPredictor"});
  parameters.accept({"inFlightLoadProducerName", "latencyPredictionInfoProducerName"});
  if (options.threshold > 1) {
    parameters.reject("affinityThreshold", "must not exceed 1");
  }
  if (options.exploration < 0 || options.exploration > 1) {
    parameters.reject("explorationProbability", "must be between 0 and 1");
  }
  if (options.penalty_ms < 0) {
    parameters.reject("maxTTFTPenaltyMs", "must not be negative");
  }
  if (options.throughput <= 0) {
    parameters.reject("peakPrefillThroughput", "must be positive");
  }
  const PrefixColumns prefix = setup.required_prefix();
  std::optional<LatencyColumns> latency;
  if (source == 1) {
    latency = setup.required_latency();
  }
  return std::make_unique<PrefixCacheAffinityFilter>(options, prefix, latency);
}

}  // namespace llmd::picker
