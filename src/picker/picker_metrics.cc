#include "picker/picker_metrics.h"

#include <array>
#include <cmath>

namespace llmd::picker {
namespace {

constexpr std::array kDecisionSeconds = {.0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1};
constexpr std::array kRatios = {0.0, .1, .2, .3, .4, .5, .6, .7, .8, .9, 1.0};
constexpr std::array kBytes = {0.0,    16.0,   32.0,   64.0,   128.0,   256.0,   512.0,
                               1024.0, 2048.0, 4096.0, 8192.0, 16384.0, 32768.0, 65536.0};
constexpr std::size_t kMostSeries = 10'000;

struct Average {
  double mean = 0;
  double deviation = 0;
};

template <typename Number>
Average average(const EndpointSnapshot& snapshot, Number number) {
  const auto n = static_cast<double>(snapshot.endpoints.size());
  if (n == 0) {
    return {};
  }
  double sum = 0;
  double squares = 0;
  for (const EndpointPtr& endpoint : snapshot.endpoints) {
    const double value = number(endpoint->numbers());
    sum += value;
    squares += value * value;
  }
  const double mean = sum / n;
  return {mean, std::sqrt(std::max(squares / n - mean * mean, 0.0))};
}

struct PoolGauge {
  std::string_view name;
  std::string_view older_name;
  std::string_view deviation_name;
  double (*number)(const EndpointState::Numbers&);
};
constexpr PoolGauge kGauges[] = {
    {"llm_d_epp_average_kv_cache_utilization", "inference_pool_average_kv_cache_utilization",
     "llm_d_epp_std_dev_kv_cache_utilization",
     [](const EndpointState::Numbers& numbers) -> double { return numbers.kv_usage; }},
    {"llm_d_epp_average_queue_size", "inference_pool_average_queue_size", "llm_d_epp_std_dev_queue_size",
     [](const EndpointState::Numbers& numbers) -> double { return numbers.waiting; }},
    {"llm_d_epp_average_running_requests", "inference_pool_average_running_requests",
     "llm_d_epp_std_dev_running_requests",
     [](const EndpointState::Numbers& numbers) -> double { return numbers.running; }},
};

std::string pool_label(std::string_view pool) {
  const metrics::Label labels[] = {{"name", pool}};
  return metrics::label_text(labels);
}

}  // namespace

PickerMetrics::PickerMetrics(metrics::Registry& registry)
    : seconds_(registry.histogram("llm_d_epp_scheduler_e2e_duration_seconds",
                                  "Time a scheduling decision takes.", kDecisionSeconds)),
      seconds_older_(registry.histogram("inference_extension_scheduler_e2e_duration_seconds",
                                        "Time a scheduling decision takes.", kDecisionSeconds)),
      hit_ratio_(registry.histogram("llm_d_epp_prefix_indexer_hit_ratio",
                                    "Share of the prompt that the chosen endpoint has cached.", kRatios)),
      hit_ratio_older_(registry.histogram("inference_extension_prefix_indexer_hit_ratio",
                                          "Share of the prompt that the chosen endpoint has cached.",
                                          kRatios)),
      hit_bytes_(registry.histogram("llm_d_epp_prefix_indexer_hit_bytes",
                                    "Bytes of the prompt that the chosen endpoint has cached.", kBytes)),
      hit_bytes_older_(registry.histogram("inference_extension_prefix_indexer_hit_bytes",
                                          "Bytes of the prompt that the chosen endpoint has cached.",
                                          kBytes)),
      attempts_(registry.counters("llm_d_epp_scheduler_attempts_total", "Decisions by result and endpoint.",
                                  {"status", "target_model_name", "endpoint_name", "namespace", "port"})),
      attempts_older_(registry.counters("inference_extension_scheduler_attempts_total",
                                        "Decisions by result and pod.",
                                        {"status", "target_model_name", "pod_name", "namespace", "port"})),
      disaggregations_(registry.counters("llm_d_epp_disagg_decision_total",
                                         "Decisions by the stages that were chosen.",
                                         {"model_name", "decision_type"})),
      disaggregations_older_(registry.counters("llm_d_inference_scheduler_disagg_decision_total",
                                               "Decisions by the stages that were chosen.",
                                               {"model_name", "decision_type"})),
      pools_(std::make_shared<Pools>()) {
  registry.on_write([weak = std::weak_ptr(pools_)](metrics::TextWriter& writer) {
    if (const auto pools = weak.lock()) {
      pools->write(writer);
    }
  });
}

void PickerMetrics::add_pool(const std::string& name, Look look) {
  const std::lock_guard lock(pools_->mutex);
  pools_->looks[name] = std::move(look);
}

void PickerMetrics::remove_pool(const std::string& name) {
  const std::lock_guard lock(pools_->mutex);
  pools_->looks.erase(name);
}

PickerMetrics::Twin& PickerMetrics::attempt(const EndpointState* endpoint, std::string_view model) {
  const std::size_t key =
      std::hash<std::string_view>()(model) * 31 + std::hash<const EndpointState*>()(endpoint);
  const auto known = series_.find(key);
  if (known != series_.end()) {
    return known->second;
  }
  if (series_.size() >= kMostSeries) {
    series_.clear();  // they stay in their families
  }
  const std::string_view status = endpoint != nullptr ? "success" : "failure";
  const std::string_view name = endpoint != nullptr ? std::string_view(endpoint->endpoint.name) : "";
  const std::string_view space = endpoint != nullptr ? std::string_view(endpoint->endpoint.namespace_) : "";
  const std::string port = endpoint != nullptr ? std::to_string(endpoint->endpoint.address.port) : "";
  return series_
      .emplace(key, Twin{attempts_.with({status, model, name, space, port}),
                         attempts_older_.with({status, model, name, space, port})})
      .first->second;
}

PickerMetrics::Twin& PickerMetrics::disaggregation(std::string_view model, std::string_view type) {
  const std::size_t key = std::hash<std::string_view>()(model) * 37 + std::hash<std::string_view>()(type);
  const auto known = series_.find(key);
  if (known != series_.end()) {
    return known->second;
  }
  const std::string_view named = model.empty() ? "unknown" : model;
  return series_
      .emplace(key, Twin{disaggregations_.with({named, type}), disaggregations_older_.with({named, type})})
      .first->second;
}

void PickerMetrics::decided(const Plan& plan, const Cycle& cycle, const Stages& stages, Duration took) {
  const double seconds = std::chrono::duration<double>(took).count();
  seconds_.observe(seconds);
  seconds_older_.observe(seconds);
  const Row chosen = stages.primary.front();
  if (plan.prediction && cycle.scalar(plan.prediction->total) > 0) {
    const double matched = cycle.at(plan.prediction->cached, chosen);
    const double ratio = matched / cycle.scalar(plan.prediction->total);
    const double bytes = matched * cycle.scalar(plan.prediction->block_tokens) * 4;
    hit_ratio_.observe(ratio);
    hit_ratio_older_.observe(ratio);
    hit_bytes_.observe(bytes);
    hit_bytes_older_.observe(bytes);
  }
  const std::string_view model = cycle.request().target();
  const std::lock_guard lock(mutex_);
  attempt(&cycle.endpoint(chosen), model).add();
  if (plan.handler != nullptr && plan.handler->is_disaggregating()) {
    const bool encodes = !stages.encode.empty();
    disaggregation(model, stages.prefill ? (encodes ? "encode-prefill-decode" : "prefill-decode")
                                         : (encodes ? "encode-decode" : "decode-only"))
        .add();
  }
}

void PickerMetrics::rejected(const Cycle& cycle, Duration took) {
  const double seconds = std::chrono::duration<double>(took).count();
  seconds_.observe(seconds);
  seconds_older_.observe(seconds);
  const std::lock_guard lock(mutex_);
  attempt(nullptr, cycle.request().target()).add();
}

void PickerMetrics::Pools::write(metrics::TextWriter& writer) {
  const std::lock_guard lock(mutex);
  std::vector<std::pair<std::string, PoolView>> views;
  for (const auto& [name, look] : looks) {
    views.emplace_back(name, look());
  }
  const auto family = [&](std::string_view name, std::string_view help, auto value) {
    writer.family(name, help, metrics::Type::Gauge);
    for (const auto& [pool, view] : views) {
      writer.sample(name, pool_label(pool), value(view));
    }
  };
  for (const PoolGauge& gauge : kGauges) {
    const auto mean = [&](const PoolView& view) { return average(*view.endpoints, gauge.number).mean; };
    const auto deviation = [&](const PoolView& view) {
      return average(*view.endpoints, gauge.number).deviation;
    };
    family(gauge.name, "Mean over the pool's endpoints.", mean);
    family(gauge.older_name, "Mean over the pool's endpoints.", mean);
    family(gauge.deviation_name, "Standard deviation over the pool's endpoints.", deviation);
  }
  const auto ready = [](const PoolView& view) {
    return static_cast<double>(view.endpoints->endpoints.size());
  };
  family("llm_d_epp_ready_endpoints", "Endpoints of the pool.", ready);
  family("inference_pool_ready_pods", "Endpoints of the pool.", ready);
  writer.family("llm_d_epp_per_endpoint_queue_size", "Requests waiting at each endpoint.",
                metrics::Type::Gauge);
  for (const auto& [pool, view] : views) {
    for (const EndpointPtr& endpoint : view.endpoints->endpoints) {
      const metrics::Label labels[] = {{"name", pool}, {"model_server_endpoint", endpoint->endpoint.name}};
      writer.sample("llm_d_epp_per_endpoint_queue_size", metrics::label_text(labels),
                    endpoint->numbers().waiting);
    }
  }
  const auto pool_gauge = [&](std::string_view name, std::string_view help, auto value) {
    writer.family(name, help, metrics::Type::Gauge);
    for (const auto& [pool, view] : views) {
      const metrics::Label labels[] = {{"inference_pool", pool}};
      if (view.flow_control) {
        writer.sample(name, metrics::label_text(labels), value(view));
      }
    }
  };
  const auto saturation = [](const PoolView& view) { return view.saturation; };
  pool_gauge("inference_extension_flow_control_pool_saturation", "How full the pool is.", saturation);
  pool_gauge("llmd_picker_waiting_requests", "Requests that wait for room in the pool.",
             [](const PoolView& view) { return static_cast<double>(view.waiting); });
}

}  // namespace llmd::picker
