#include "picker/flowcontrol/flow_metrics.h"

#include <fmt/format.h>

#include "picker/metrics/buckets.h"
#include "picker/metrics/tally.h"

namespace llmd::picker {
namespace {

constexpr std::size_t kMostSeries = 10'000;
constexpr std::string_view kOther = "other";
constexpr Duration kIdle = std::chrono::minutes(5);
constexpr Duration kBetweenSweeps = std::chrono::seconds(10);
constexpr std::string_view kNotYet = "NotYetFinalized";  // upstream's word for what was let in

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

struct FlowMetrics::Histogram {
  Distribution numbers{buckets::kDecisionSeconds};
};

struct FlowMetrics::Series {
  std::string fairness_id, priority, model, target, outcome;
  Distribution waited{buckets::kQueueSeconds};
  Distribution queueing{buckets::kDecisionSeconds};
  std::uint64_t queued = 0;
  std::uint64_t finished = 0;
  TimePoint used;
};

FlowMetrics::FlowMetrics() : cycles_(std::make_unique<Histogram>()) {}
FlowMetrics::~FlowMetrics() = default;

// Under the lock.
FlowMetrics::Series& FlowMetrics::series(const Flow& flow, std::string_view outcome, TimePoint now) {
  forget_idle(now);
  fmt::basic_memory_buffer<char, 512> key;
  fmt::format_to(std::back_inserter(key), "{}\x1f{}\x1f{}\x1f{}\x1f{}", flow.fairness_id, flow.priority,
                 flow.model, flow.target, outcome);
  const std::string_view text(key.data(), key.size());
  if (const auto known = series_.find(text); known != series_.end()) {
    known->second->used = now;
    return *known->second;
  }
  if (series_.size() >= kMostSeries && flow.fairness_id != kOther) {
    return series({kOther, flow.priority, kOther, kOther}, outcome, now);
  }
  auto made = std::make_unique<Series>();
  made->fairness_id = flow.fairness_id;
  made->priority = std::to_string(flow.priority);
  made->model = flow.model;
  made->target = flow.target;
  made->outcome = outcome;
  made->used = now;
  return *series_.emplace(text, std::move(made)).first->second;
}

// Under the lock.
void FlowMetrics::forget_idle(TimePoint now) {
  if (now - swept_ < kBetweenSweeps) {
    return;
  }
  swept_ = now;
  std::erase_if(series_, [now](const auto& entry) {
    return now - entry.second->used >= kIdle && entry.second->fairness_id != kOther;
  });
}

void FlowMetrics::queued(const Flow& flow, Duration took, TimePoint now) {
  const std::lock_guard lock(mutex_);
  Series& numbers = series(flow, kNotYet, now);
  ++numbers.queued;
  numbers.queueing.observe(seconds(took));
}

void FlowMetrics::finished(const Flow& flow, std::string_view outcome, Duration waited, TimePoint now) {
  const std::lock_guard lock(mutex_);
  Totals& totals = totals_[flow.priority];
  if (const auto known = totals.find(outcome); known != totals.end()) {
    ++known->second;
  } else {
    totals.emplace(outcome, 1);
  }
  Series& numbers = series(flow, outcome, now);
  ++numbers.finished;
  numbers.waited.observe(seconds(waited));
}

void FlowMetrics::cycle(Duration took) {
  const std::lock_guard lock(mutex_);
  cycles_->numbers.observe(seconds(took));
}

std::string_view FlowMetrics::outcome_of(const Rejection& rejection, bool was_queued) {
  if (rejection.reason == reason::kShuttingDown || rejection.reason == reason::kDisplaced) {
    return was_queued ? "EvictedOther" : "RejectedOther";
  }
  if (!was_queued) {
    return "RejectedCapacity";
  }
  return rejection.reason == reason::kCancelled ? "EvictedContextCancelled" : "EvictedTTL";
}

void FlowMetrics::write(Page& page, std::string_view pool, TimePoint now) {
  const std::lock_guard lock(mutex_);
  forget_idle(now);
  const auto both = [&page](std::string_view rest, std::string_view help, const LabelText& labels,
                            const Distribution& numbers) {
    for (const std::string_view prefix : {"llm_d_epp_", "inference_extension_"}) {
      metrics::Histogram::Snapshot snapshot;
      numbers.add_to(snapshot);
      page.histogram(fmt::format("{}flow_control_{}", prefix, rest), help, labels, numbers.bounds(),
                     std::move(snapshot));
    }
  };
  for (const auto& [key, one] : series_) {
    if (one->finished > 0) {
      both("request_queue_duration_seconds", "Time in flow control.",
           {{"fairness_id", one->fairness_id},
            {"priority", one->priority},
            {"outcome", one->outcome},
            {"inference_pool", pool},
            {"model_name", one->model},
            {"target_model_name", one->target}},
           one->waited);
    }
    if (one->queued > 0) {
      both("request_enqueue_duration_seconds", "Time to find a request its place.",
           {{"fairness_id", one->fairness_id}, {"priority", one->priority}, {"outcome", one->outcome}},
           one->queueing);
    }
  }
  for (const auto& [priority, totals] : totals_) {
    for (const auto& [outcome, count] : totals) {
      page.counter("llm_d_epp_flow_control_requests_total", "Requests that flow control is done with.",
                   {{"outcome", outcome}, {"priority", std::to_string(priority)}, {"inference_pool", pool}},
                   static_cast<double>(count));
    }
  }
  both("dispatch_cycle_duration_seconds", "Time to let all waiting requests through that have room.", {},
       cycles_->numbers);
}

}  // namespace llmd::picker
