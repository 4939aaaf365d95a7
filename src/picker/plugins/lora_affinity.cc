#include "picker/plugins/lora_affinity.h"

#include <algorithm>

namespace llmd::picker {
namespace {

// Looks at the adapters once per request, so that the decision itself needs numbers only.
class AdapterColumns : public Producer {
 public:
  explicit AdapterColumns(PluginSetup& setup)
      : score_(setup.names().column("lora/score")),
        has_(setup.names().column("lora/has")),
        room_(setup.names().column("lora/room")) {}

  void produce(Cycle& cycle) const override {
    const auto scores = cycle.fill(score_);
    const auto has = cycle.fill(has_);
    const auto room = cycle.fill(room_);
    const std::string_view target = cycle.request().target();
    for (const Row row : cycle.candidates()) {
      const auto adapters = cycle.endpoint(row).adapters();
      const bool active = std::ranges::find(adapters->active, target) != adapters->active.end();
      const bool waits = std::ranges::find(adapters->waiting, target) != adapters->waiting.end();
      const std::size_t loaded = adapters->active.size() + adapters->waiting.size();
      has[row] = active || waits ? 1 : 0;
      room[row] = loaded < static_cast<std::size_t>(std::max(adapters->limit, 0)) ? 1 : 0;
      scores[row] = active ? 1.0F : room[row] > 0 ? 0.8F : waits ? 0.6F : 0.0F;
    }
  }

 protected:
  const Column score_;
  const Column has_;
  const Column room_;
};

class LoraAffinityScorer final : public AdapterColumns, public Scorer {
 public:
  using AdapterColumns::AdapterColumns;
  void score(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const override {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      scores[i] = cycle.at(score_, rows[i]);
    }
  }
};

class LoraAffinityFilter final : public AdapterColumns, public Filter {
 public:
  LoraAffinityFilter(PluginSetup& setup, double probability)
      : AdapterColumns(setup), probability_(probability) {}
  void filter(Cycle& cycle, std::vector<Row>& rows) const override {
    const auto is_in = [&](Column column, Row row) { return cycle.at(column, row) > 0; };
    const auto with = std::ranges::count_if(rows, [&](Row row) { return is_in(has_, row); });
    const auto free = std::ranges::count_if(rows, [&](Row row) { return is_in(room_, row); });
    if (with == 0 && free == 0) {
      return;
    }
    const bool prefer_with = with > 0 && (free == 0 || cycle.random().uniform() < probability_);
    std::erase_if(rows, [&](Row row) { return !is_in(prefer_with ? has_ : room_, row); });
  }

 private:
  const double probability_;
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_lora_affinity_scorer(PluginSetup& setup) {
  setup.parameters.accept_all();
  setup.require("metrics", "core-metrics-extractor", nullptr);
  return std::make_unique<LoraAffinityScorer>(setup);
}

Result<std::unique_ptr<Plugin>> make_lora_affinity_filter(PluginSetup& setup) {
  double probability = 0.999;
  setup.parameters.read("threshold", probability);
  return std::make_unique<LoraAffinityFilter>(setup, probability);
}

}  // namespace llmd::picker
