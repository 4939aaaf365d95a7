#include "picker/plugins/no_hit_lru_scorer.h"

#include <algorithm>
#include <mutex>

namespace llmd::picker {
namespace {

class NoHitLruScorer final : public Producer, public Scorer, public RequestHook, public Inspectable {
 public:
  NoHitLruScorer(PrefixColumns prefix, Column used, Scalar cold)
      : prefix_(prefix), used_(used), cold_(cold) {}

  // The column holds the order of use: 0 never, else 1 for the longest ago.
  void produce(Cycle& cycle) const override {
    for (const Row row : cycle.candidates()) {
      if (cycle.at(prefix_.matched, row) > 0) {
        return;
      }
    }
    cycle.set_scalar(cold_, 1);
    static thread_local std::vector<std::pair<std::uint64_t, Row>> ticks;
    ticks.clear();
    {
      const std::lock_guard lock(mutex_);
      for (const Row row : cycle.candidates()) {
        const std::uint32_t id = cycle.endpoint(row).id;
        if (id < used_at_.size() && used_at_[id] > 0) {
          ticks.emplace_back(used_at_[id], row);
        }
      }
    }
    std::ranges::sort(ticks);
    const auto used = cycle.fill(used_);
    for (std::size_t i = 0; i < ticks.size(); ++i) {
      used[ticks[i].second] = static_cast<float>(i + 1);
    }
  }

  void score(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const override {
    if (cycle.scalar(cold_) == 0 || rows.size() == 1) {
      std::ranges::fill(scores, cycle.scalar(cold_) == 0 ? 0.5 : 1.0);
      return;
    }
    const double last = static_cast<double>(rows.size()) - 1;
    const auto used = cycle.column(used_);
    const auto never = std::ranges::count_if(rows, [&](Row row) { return used[row] == 0; });
    std::size_t position = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (used[rows[i]] == 0) {
        scores[i] = 1.0 - static_cast<double>(position++) / last;
      } else {
        // Rows that were filtered out do not count as places.
        const auto before =
            std::ranges::count_if(rows, [&](Row row) { return used[row] > 0 && used[row] < used[rows[i]]; });
        scores[i] = std::max(0.0, 1.0 - static_cast<double>(never + before) / last);
      }
    }
  }

  void dispatched(const Cycle& cycle, const Stages& stages, Decision&) const override {
    if (cycle.scalar(cold_) == 0) {
      return;
    }
    const std::lock_guard lock(mutex_);
    touch(cycle.endpoint(stages.primary.front()).id);
    if (stages.prefill) {
      touch(cycle.endpoint(*stages.prefill).id);
    }
  }

  json::Value state() const override {
    const std::lock_guard lock(mutex_);
    return json::Value{
        {"endpointsUsed", std::ranges::count_if(used_at_, [](auto tick) { return tick > 0; })}};
  }

 private:
  void touch(std::uint32_t id) const {
    if (id >= used_at_.size()) {
      used_at_.resize(id + 1);
    }
    used_at_[id] = ++clock_;
  }

  const PrefixColumns prefix_;
  const Column used_;
  const Scalar cold_;
  mutable std::mutex mutex_;
  mutable std::vector<std::uint64_t> used_at_;  // by endpoint id
  mutable std::uint64_t clock_ = 0;
};

}  // namespace

Result<std::unique_ptr<Plugin>> make_no_hit_lru_scorer(PluginSetup& setup) {
  setup.parameters.accept({"prefixPluginType", "prefixPluginName", "lruSize"});
  const PrefixColumns prefix = setup.required_prefix();
  return std::make_unique<NoHitLruScorer>(
      prefix, setup.names().column(fmt::format("lru/{}", setup.plugin_name)),
      setup.names().scalar(fmt::format("lru/{}/cold", setup.plugin_name)));
}

}  // namespace llmd::picker
