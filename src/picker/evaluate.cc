#include "picker/evaluate.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include <fmt/format.h>

namespace llmd::picker {
namespace {

constexpr std::size_t kMostNamed = 5;  // endpoints in a span

trace::Span begin_scorer(const SpanParent& parent, const WeightedScorer& weighted, const trace::Span& above) {
  trace::Span span = begin_span(&parent, "llm_d.epp.scorer." + weighted.scorer->type, above);
  span.set("llm_d.epp.scorer.type", weighted.scorer->type);
  span.set("llm_d.epp.scorer.name", weighted.scorer->name);
  span.set("llm_d.epp.scorer.weight", weighted.weight);
  return span;
}

void describe_scores(trace::Span& span, std::span<const double> scores) {
  const double sum = std::accumulate(scores.begin(), scores.end(), 0.0);
  span.set("llm_d.epp.scorer.score.max", *std::ranges::max_element(scores));
  span.set("llm_d.epp.scorer.score.avg", sum / static_cast<double>(scores.size()));
  span.set("llm_d.epp.scorer.endpoints_scored", scores.size());
}

// The best by their totals, and whom the picker took.
void describe_picks(trace::Span& span, const Cycle& cycle, const ProfileTrace& trace) {
  const auto name = [&cycle](Row row) {
    return std::string_view(cycle.snapshot().endpoints[row]->destination);
  };
  std::vector<std::size_t> best(trace.rows.size());
  std::iota(best.begin(), best.end(), std::size_t{0});
  std::ranges::sort(best, std::greater{}, [&trace](std::size_t i) { return trace.totals[i]; });
  best.resize(std::min(best.size(), kMostNamed));
  std::string names;
  std::string scores;
  for (const std::size_t i : best) {
    const std::string_view comma = names.empty() ? "" : ",";
    names += fmt::format("{}{}", comma, name(trace.rows[i]));
    scores += fmt::format("{}{:.4g}", comma, trace.totals[i]);
  }
  span.set("llm_d.epp.picker.top_endpoints", names);
  span.set("llm_d.epp.picker.top_scores", scores);
  if (!trace.picks.empty()) {
    span.set("llm_d.epp.picker.picked_endpoint", name(trace.picks.front()));
  }
}

}  // namespace

Result<void> Evaluation::run(const Plan& plan, Cycle& cycle, Stopwatch* watch, const SpanParent* parent) {
  plan_ = &plan;
  cycle_ = &cycle;
  stages_.clear();
  used_ = 0;
  drained_ = false;
  cycle.restart_random();
  cycle.set_peer(std::nullopt);
  watch_ = watch;
  parent_ = parent;
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

ProfileTrace& Evaluation::new_trace(std::size_t profile) {
  if (used_ == traces_.size()) {
    traces_.emplace_back();
  }
  ProfileTrace& trace = traces_[used_++];
  trace.profile = profile;
  trace.rows.assign(cycle_->candidates().begin(), cycle_->candidates().end());
  trace.left.clear();
  trace.contributions.clear();
  trace.totals.clear();
  trace.picks.clear();
  return trace;
}

std::span<const Row> Evaluation::run(std::size_t index) {
  if (watch_ != nullptr) {
    handler_time_ += watch_->split();
  }
  const Profile& profile = plan_->profiles[index];
  ProfileTrace& trace = new_trace(index);
  trace::Span span = begin_span(parent_, "run_scheduler_profile");
  if (span.sampled()) {
    span.set("llm_d.epp.scheduling.profile.name", profile.name);
  }
  filter(profile, trace, span);
  if (trace.rows.empty()) {
    span.fail("the filters left no endpoint");
    drained_ = true;
    return {};
  }
  score(profile, trace, span);
  pick(profile, trace, span);
  return trace.picks;
}

void Evaluation::filter(const Profile& profile, ProfileTrace& trace, const trace::Span& above) {
  trace::Span span = begin_span(parent_, "filter_endpoints", above);
  span.set("llm_d.epp.filter.candidate_endpoints", trace.rows.size());
  for (const Filter* filter : profile.filters) {
    filter->filter(*cycle_, trace.rows);
    lap(PluginTimes::Point::Filter, *filter);
    trace.left.push_back(static_cast<std::uint16_t>(trace.rows.size()));
    if (trace.rows.empty()) {
      break;
    }
  }
  span.set("llm_d.epp.filter.filtered_endpoints", trace.rows.size());
}

void Evaluation::score(const Profile& profile, ProfileTrace& trace, const trace::Span& above) {
  const std::size_t count = trace.rows.size();
  trace::Span span = begin_span(parent_, "llm_d.epp.scoring", above);
  span.set("llm_d.epp.scorer.count", profile.scorers.size());
  span.set("llm_d.epp.scoring.candidate_endpoints", count);
  trace.totals.assign(count, 0);
  trace.contributions.resize(count * profile.scorers.size());
  float* contribution = trace.contributions.data();
  for (const WeightedScorer& weighted : profile.scorers) {
    trace::Span scorer = span.sampled() ? begin_scorer(*parent_, weighted, span) : trace::Span();
    scores_.assign(count, 0);
    weighted.scorer->score(*cycle_, trace.rows, scores_);
    lap(PluginTimes::Point::Scorer, *weighted.scorer);
    if (scorer.sampled()) {
      describe_scores(scorer, scores_);
    }
    for (std::size_t i = 0; i < count; ++i) {
      // The comparison is written so that NaN becomes 0.
      const double clamped = scores_[i] > 0 ? std::min(scores_[i], 1.0) : 0.0;
      trace.totals[i] += clamped * weighted.weight;
      *contribution++ = static_cast<float>(clamped * weighted.weight);
    }
  }
}

void Evaluation::pick(const Profile& profile, ProfileTrace& trace, const trace::Span& above) {
  if (watch_ != nullptr) {
    watch_->restart();
  }
  trace::Span span = begin_span(parent_, "pick_endpoints", above);
  profile.picker->pick(*cycle_, trace.rows, trace.totals, trace.picks);
  lap(PluginTimes::Point::Picker, *profile.picker);
  if (span.sampled()) {
    describe_picks(span, *cycle_, trace);
  }
}

}  // namespace llmd::picker
