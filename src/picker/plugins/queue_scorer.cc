#include "picker/plugins/queue_scorer.h"

#include <algorithm>

namespace llmd::picker {
namespace {

class RangeScorer final : public Scorer {
 public:
  explicit RangeScorer(Column column) : column_(column) {}

  void score(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const override {
    const auto numbers = cycle.column(column_);
    float low = std::numeric_limits<float>::infinity();
    float high = -low;
    for (const Row row : rows) {
      low = std::min(low, numbers[row]);
      high = std::max(high, numbers[row]);
    }
    const double range = high - low;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      scores[i] = range > 0 ? (high - numbers[rows[i]]) / range : 1.0;
    }
  }

 private:
  const Column column_;
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_queue_scorer(PluginSetup& setup) {
  setup.parameters.accept_all();
  setup.require("metrics", "core-metrics-extractor", nullptr);
  return std::make_unique<RangeScorer>(kWaiting);
}

Result<std::unique_ptr<Plugin>> make_running_scorer(PluginSetup& setup) {
  setup.parameters.accept_all();
  setup.require("metrics", "core-metrics-extractor", nullptr);
  return std::make_unique<RangeScorer>(kRunning);
}

}  // namespace llmd::picker
