#include "picker/metrics/latency_metrics.h"

#include <fmt/format.h>

#include <array>

#include "picker/metrics/buckets.h"
#include "picker/metrics/tally.h"

namespace llmd::picker {
namespace {

constexpr std::size_t kMostModels = 1000;

}  // namespace

struct LatencyMetrics::Series {
  std::string model;
  std::string target;
  Distribution predicted_ttft{buckets::kRequestSeconds};
  Distribution predicted_tpot{buckets::kTokenSeconds};
  Distribution prediction{buckets::kPredictionSeconds};
  // Of the last request, by the names of inference_request_metric.
  std::map<std::string_view, double> last;
  std::uint64_t ttft_violations = 0;
  std::uint64_t tpot_violations = 0;
};

LatencyMetrics::LatencyMetrics() = default;
LatencyMetrics::~LatencyMetrics() = default;

LatencyMetrics::Series& LatencyMetrics::series_of(std::string_view model, std::string_view target) {
  if (const auto known = series_.find(ByModels::Views(model, target)); known != series_.end()) {
    return *known->second;
  }
  if (series_.size() >= kMostModels) {
    model = target = "other";
  }
  auto& series = series_[{std::string(model), std::string(target)}];
  if (!series) {
    series = std::make_unique<Series>();
    series->model = model;
    series->target = target;
  }
  return *series;
}

void LatencyMetrics::predicted(std::string_view model, std::string_view target, Duration took) {
  const double seconds = std::chrono::duration<double>(took).count();
  const std::lock_guard lock(mutex_);
  Series& series = series_of(model, target);
  series.prediction.observe(seconds);
  // One call says both.
  series.last["ttft_prediction_duration"] = seconds;
  series.last["tpot_prediction_duration"] = seconds;
}

void LatencyMetrics::observe(const Observed& observed) {
  const Decision::Memory& memory = observed.memory;
  const std::lock_guard lock(mutex_);
  Series* const series = &series_of(memory.model.view(), memory.target_model.view());
  constexpr double kMilli = 1e-3;
  const auto part = [&](std::string_view name, std::string_view predicted_name,
                        std::string_view violation_name, double seen_ms, double predicted_ms, double slo_ms,
                        Distribution& predicted, std::uint64_t& violations) {
    if (predicted_ms > 0) {
      predicted.observe(predicted_ms * kMilli);
      series->last[predicted_name] = predicted_ms * kMilli;
    }
    if (seen_ms > 0) {
      const bool late = slo_ms > 0 && seen_ms > slo_ms;
      violations += late ? 1 : 0;
      series->last[name] = seen_ms * kMilli;
      series->last[violation_name] = late ? 1 : 0;
    }
  };
  part("ttft", "predicted_ttft", "ttft_slo_violation", observed.ttft_ms, memory.predicted_ttft_ms,
       memory.ttft_slo_ms, series->predicted_ttft, series->ttft_violations);
  part("tpot", "predicted_tpot", "tpot_slo_violation", observed.tpot_ms, memory.predicted_tpot_ms,
       memory.tpot_slo_ms, series->predicted_tpot, series->tpot_violations);
}

void LatencyMetrics::write(Page& page, std::string_view plugin_name, std::string_view plugin_type) const {
  const std::lock_guard lock(mutex_);
  // Both names; `more` is a label beside the models.
  const auto both = [&](const Series& series, std::optional<metrics::Label> more, auto write) {
    std::vector<metrics::Label> labels{{"model_name", series.model}, {"target_model_name", series.target}};
    if (more) {
      labels.push_back(*more);
    }
    write("inference_objective_", LabelText(metrics::label_text(labels)));
    labels.push_back({"plugin_name", plugin_name});
    labels.push_back({"plugin_type", plugin_type});
    write("llm_d_epp_", LabelText(metrics::label_text(labels)));
  };
  for (const auto& [key, series] : series_) {
    constexpr std::string_view kSaid = "As the latency predictor said.";
    constexpr std::string_view kTook = "How long the prediction took, of both times together.";
    for (const auto& [name, numbers, help] :
         {std::tuple("request_predicted_ttft_seconds", &series->predicted_ttft, kSaid),
          std::tuple("request_predicted_tpot_seconds", &series->predicted_tpot, kSaid),
          std::tuple("request_ttft_prediction_duration_seconds", &series->prediction, kTook),
          std::tuple("request_tpot_prediction_duration_seconds", &series->prediction, kTook)}) {
      both(*series, std::nullopt, [&](std::string_view prefix, LabelText labels) {
        metrics::Histogram::Snapshot snapshot;
        numbers->add_to(snapshot);
        page.histogram(fmt::format("{}{}", prefix, name), help, std::move(labels), numbers->bounds(),
                       std::move(snapshot));
      });
    }
    for (const auto& [type, count] :
         {std::pair("ttft", series->ttft_violations), std::pair("tpot", series->tpot_violations)}) {
      both(*series, metrics::Label{"type", type}, [&](std::string_view prefix, LabelText labels) {
        page.counter(fmt::format("{}request_slo_violation_total", prefix),
                     "Requests that were later than asked for.", std::move(labels),
                     static_cast<double>(count));
      });
    }
    for (const auto& [type, value] : series->last) {
      both(*series, metrics::Label{"type", type}, [&](std::string_view prefix, LabelText labels) {
        page.gauge(fmt::format("{}inference_request_metric", prefix), "Of the last request, in seconds.",
                   std::move(labels), value);
      });
    }
  }
}

}  // namespace llmd::picker
