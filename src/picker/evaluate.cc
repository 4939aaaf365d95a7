#include "picker/evaluate.h"

#include <algorithm>

namespace llmd::picker {

Result<void> Evaluation::run(const Plan& plan, Cycle& cycle, Stopwatch* watch) {
  plan_ = &plan;
  cycle_ = &cycle;
  stages_.clear();
  used_ = 0;
  drained_ = false;
  cycle.restart_random();
  cycle.set_peer(std::nullopt);
  watch_ = watch;
  if (watch == nullptr || watch->weight() == 0) {
    return plan.handler->choose(*this, stages_);
  }
  watch->restart();
  handler_time_ = Duration::zero();
  auto chosen = plan.handler->choose(*this, stages_);
  handler_time_ += watch->split();
  plan.times->add(PluginTimes::Point::ProfilePicker, *plan.handler, handler_time_, watch->weight());
  return chosen;
}

const ProfileTrace* Evaluation::trace_of(std::size_t profile) const {
  for (const ProfileTrace& trace : traces()) {
    if (trace.profile == profile) {
      return &trace;
    }
  }
  return nullptr;
}

std::span<const Row> Evaluation::run(std::size_t index) {
  if (watch_ != nullptr) {
    handler_time_ += watch_->split();
  }
  const Profile& profile = plan_->profiles[index];
  if (used_ == traces_.size()) {
    traces_.emplace_back();
  }
  ProfileTrace& trace = traces_[used_++];
  trace.profile = index;
  trace.rows.assign(cycle_->candidates().begin(), cycle_->candidates().end());
  trace.left.clear();
  trace.contributions.clear();
  trace.totals.clear();
  trace.picks.clear();
  for (const Filter* filter : profile.filters) {
    filter->filter(*cycle_, trace.rows);
    lap(PluginTimes::Point::Filter, *filter);
    trace.left.push_back(static_cast<std::uint16_t>(trace.rows.size()));
    if (trace.rows.empty()) {
      break;
    }
  }
  if (trace.rows.empty()) {
    drained_ = true;
    return {};
  }
  const std::size_t count = trace.rows.size();
  trace.totals.assign(count, 0);
  trace.contributions.resize(count * profile.scorers.size());
  float* contribution = trace.contributions.data();
  for (const WeightedScorer& weighted : profile.scorers) {
    scores_.assign(count, 0);
    weighted.scorer->score(*cycle_, trace.rows, scores_);
    lap(PluginTimes::Point::Scorer, *weighted.scorer);
    for (std::size_t i = 0; i < count; ++i) {
      // The comparison is written so that NaN becomes 0.
      const double clamped = scores_[i] > 0 ? std::min(scores_[i], 1.0) : 0.0;
      trace.totals[i] += clamped * weighted.weight;
      *contribution++ = static_cast<float>(clamped * weighted.weight);
    }
  }
  if (watch_ != nullptr) {
    watch_->restart();
  }
  profile.picker->pick(*cycle_, trace.rows, trace.totals, trace.picks);
  lap(PluginTimes::Point::Picker, *profile.picker);
  return trace.picks;
}

}  // namespace llmd::picker
