#include "picker/plugins/load_scorers.h"

#include <algorithm>

namespace llmd::picker {
namespace {

class LoadAwareScorer final : public Scorer {
 public:
  explicit LoadAwareScorer(int threshold) : threshold_(threshold) {}
  void score(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const override {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double waiting = std::min<double>(cycle.at(kWaiting, rows[i]), threshold_);
      scores[i] = 0.5 * (1.0 - waiting / threshold_);
    }
  }

 private:
  const int threshold_;
};

class TokenLoadScorer final : public Scorer {
 public:
  TokenLoadScorer(std::int64_t threshold, Column uncached)
      : threshold_(static_cast<double>(threshold)), uncached_(uncached) {}
  void score(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const override {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const double tokens = cycle.at(kInFlightTokens, rows[i]) + cycle.at(uncached_, rows[i]);
      scores[i] = 1.0 - std::min(tokens, threshold_) / threshold_;
    }
  }

 private:
  const double threshold_;
  const Column uncached_;
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_load_aware_scorer(PluginSetup& setup) {
  int threshold = 128;
  setup.parameters.read("threshold", threshold);
  return std::make_unique<LoadAwareScorer>(threshold > 0 ? threshold : 128);
}

Result<std::unique_ptr<Plugin>> make_token_load_scorer(PluginSetup& setup) {
  std::int64_t threshold = 4'194'304;
  setup.parameters.read("queueThresholdTokens", threshold);
  if (threshold <= 0) {
    setup.parameters.reject("queueThresholdTokens", "must be positive");
  }
  std::string producer;
  setup.parameters.read("inFlightLoadProducerName", producer);
  producer = producer.empty() ? "inflight-load-producer" : producer;
  setup.require("load", producer, nullptr);
  return std::make_unique<TokenLoadScorer>(threshold, setup.names().column("load/" + producer + "/uncached"));
}

}  // namespace llmd::picker
