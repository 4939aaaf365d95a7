#include "picker/plugins/kv_cache_scorer.h"

namespace llmd::picker {
namespace {

class KvCacheScorer final : public Scorer {
 public:
  void score(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const override {
    const auto usage = cycle.column(kKvUsage);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      scores[i] = 1.0 - usage[rows[i]];
    }
  }
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_kv_cache_scorer(PluginSetup& setup) {
  setup.parameters.accept_all();
  setup.require("metrics", "core-metrics-extractor", nullptr);
  return std::make_unique<KvCacheScorer>();
}

}  // namespace llmd::picker
