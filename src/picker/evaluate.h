// Evaluation: runs the profiles of a plan over a cycle whose columns are filled. Live decisions and replays
// both come through here. Keeps its memory between decisions; one thread at a time.
#pragma once

#include <vector>

#include "picker/metrics/plugin_times.h"
#include "picker/plan.h"
#include "picker/spans.h"

namespace llmd::picker {

// What one profile did, for explanations.
struct ProfileTrace {
  std::size_t profile = 0;
  std::vector<Row> rows;             // that were left to be scored
  std::vector<std::uint16_t> left;   // endpoints after each filter
  std::vector<float> contributions;  // scorer by scorer, one per row: weight * clamped score
  std::vector<double> totals;
  std::vector<Row> picks;
};

class Evaluation final : public ProfileRunner {
 public:
  // Leaves stages().primary empty when nobody can serve, with the reason as error.
  // `parent`: where the profiles' spans belong; null: no spans.
  Result<void> run(const Plan& plan, Cycle& cycle, Stopwatch* watch = nullptr,
                   const SpanParent* parent = nullptr);

  const Stages& stages() const { return stages_; }
  bool filters_drained() const { return drained_; }
  std::span<const ProfileTrace> traces() const { return {traces_.data(), used_}; }
  const ProfileTrace* trace_of(std::size_t profile) const;

  Cycle& cycle() override { return *cycle_; }
  std::span<const Row> run(std::size_t profile) override;

 private:
  ProfileTrace& new_trace(std::size_t profile);
  void filter(const Profile& profile, ProfileTrace& trace, const trace::Span& above);
  void score(const Profile& profile, ProfileTrace& trace, const trace::Span& above);
  void pick(const Profile& profile, ProfileTrace& trace, const trace::Span& above);
  void lap(PluginTimes::Point point, const Plugin& plugin) {
    if (watch_ != nullptr) {
      watch_->lap(point, plugin);
    }
  }

  const Plan* plan_ = nullptr;
  Stopwatch* watch_ = nullptr;          // null: nothing is measured
  const SpanParent* parent_ = nullptr;  // null: no spans are made
  Duration handler_time_{};
  Cycle* cycle_ = nullptr;
  Stages stages_;
  std::vector<ProfileTrace> traces_;
  std::size_t used_ = 0;
  std::vector<double> scores_;
  bool drained_ = false;
};

}  // namespace llmd::picker
