#include "picker/picker_metrics.h"

#include <cmath>

#include "picker/metrics/buckets.h"
#include "picker/metrics/request_metrics.h"

namespace llmd::picker {
namespace {

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

constexpr std::string_view kRatioHelp = "Share of the prompt that the chosen endpoint has cached.";
constexpr std::string_view kBytesHelp = "Bytes of the prompt that the chosen endpoint has cached.";
constexpr std::string_view kStagesHelp = "Decisions by the stages that were chosen.";

void write_pool(Page& page, std::string_view pool, const PoolView& view) {
  const LabelText of_pool{{"name", pool}};
  for (const PoolGauge& gauge : kGauges) {
    const Average both = average(*view.endpoints, gauge.number);
    page.gauge(gauge.name, "Mean over the pool's endpoints.", of_pool, both.mean);
    page.gauge(gauge.older_name, "Mean over the pool's endpoints.", of_pool, both.mean);
    page.gauge(gauge.deviation_name, "Standard deviation over the pool's endpoints.", of_pool,
               both.deviation);
  }
  const auto ready = static_cast<double>(view.endpoints->endpoints.size());
  page.gauge("llm_d_epp_ready_endpoints", "Endpoints of the pool.", of_pool, ready);
  page.gauge("inference_pool_ready_pods", "Endpoints of the pool.", of_pool, ready);
}

void write_endpoints(Page& page, std::string_view pool, const EndpointSnapshot& endpoints) {
  for (const EndpointPtr& endpoint : endpoints.endpoints) {
    const std::string& name = endpoint->endpoint.name;
    const double waiting = endpoint->numbers().waiting;
    constexpr std::string_view kWaiting = "Requests waiting at each endpoint.";
    page.gauge("llm_d_epp_per_endpoint_queue_size", kWaiting,
               {{"name", pool}, {"model_server_endpoint", name}}, waiting);
    page.gauge("inference_pool_per_pod_queue_size", kWaiting, {{"name", pool}, {"model_server_pod", name}},
               waiting);
    // Leases are not counted by flow: these two labels are empty, sums over them are right.
    const LabelText of_endpoint{{"endpoint_name", name},
                                {"namespace", endpoint->endpoint.namespace_},
                                {"producer_name", "inflight-load-producer"},
                                {"fairness_id", ""},
                                {"priority", ""}};
    page.gauge("llm_d_epp_inflight_requests", "Requests that this picker sent and that have not ended.",
               of_endpoint, endpoint->running());
    page.gauge("llm_d_epp_inflight_tokens", "Prompt tokens of requests whose answer has not begun.",
               of_endpoint, static_cast<double>(endpoint->tokens()));
  }
}

void write_saturation(Page& page, std::string_view pool, const PoolView& view) {
  constexpr std::string_view kHelp = "How full the pool is; at 1 nothing more is let through.";
  const auto stage = [&](std::string_view name, const std::optional<double>& value) {
    if (value) {
      page.gauge("llm_d_epp_flow_control_pool_saturation", kHelp, {{"inference_pool", pool}, {"stage", name}},
                 *value);
    }
  };
  stage("prefill", view.prefill_saturation);
  stage("decode", view.decode_saturation);
  stage("effective", view.saturation);
  const LabelText of_pool{{"inference_pool", pool}};
  page.gauge("inference_extension_flow_control_pool_saturation", kHelp, of_pool, view.saturation);
  page.gauge("llmd_picker_waiting_requests", "Requests that wait for room in the pool.", of_pool,
             static_cast<double>(view.waiting));
  page.gauge("llm_d_epp_flow_control_stale_endpoints", "Endpoints whose numbers are too old to be trusted.",
             {{"detector", view.detector}}, static_cast<double>(view.stale));
}

}  // namespace

PickerMetrics::PickerMetrics(metrics::Registry& registry)
    : seconds_(registry.histogram("llm_d_epp_scheduler_e2e_duration_seconds",
                                  "Time a scheduling decision takes.", buckets::kDecisionSeconds)),
      seconds_older_(registry.histogram("inference_extension_scheduler_e2e_duration_seconds",
                                        "Time a scheduling decision takes.", buckets::kDecisionSeconds)),
      hit_ratio_(registry.histograms("llm_d_epp_prefix_indexer_hit_ratio", std::string(kRatioHelp),
                                     {"plugin_name", "plugin_type"}, buckets::kRatios)),
      hit_ratio_older_(registry.histogram("inference_extension_prefix_indexer_hit_ratio",
                                          std::string(kRatioHelp), buckets::kRatios)),
      hit_bytes_(registry.histograms("llm_d_epp_prefix_indexer_hit_bytes", std::string(kBytesHelp),
                                     {"plugin_name", "plugin_type"}, buckets::kHitBytes)),
      hit_bytes_older_(registry.histogram("inference_extension_prefix_indexer_hit_bytes",
                                          std::string(kBytesHelp), buckets::kHitBytes)),
      attempts_(registry.counters("llm_d_epp_scheduler_attempts_total", "Decisions by result and endpoint.",
                                  {"status", "target_model_name", "endpoint_name", "namespace", "port"})),
      attempts_older_(registry.counters("inference_extension_scheduler_attempts_total",
                                        "Decisions by result and pod.",
                                        {"status", "target_model_name", "pod_name", "namespace", "port"})),
      disaggregations_(registry.counters("llm_d_epp_disagg_decision_total", std::string(kStagesHelp),
                                         {"model_name", "decision_type", "plugin_name", "plugin_type"})),
      disaggregations_older_(registry.counters("llm_d_inference_scheduler_disagg_decision_total",
                                               std::string(kStagesHelp), {"model_name", "decision_type"})),
      prefills_(registry.counters("llm_d_epp_pd_decision_total", std::string(kStagesHelp),
                                  {"model_name", "decision_type", "plugin_name", "plugin_type"})),
      prefills_older_(registry.counters("llm_d_inference_scheduler_pd_decision_total",
                                        std::string(kStagesHelp), {"model_name", "decision_type"})),
      pools_(std::make_shared<Pools>()) {
  registry.on_write([weak = std::weak_ptr(pools_)](metrics::TextWriter& writer) {
    if (const auto pools = weak.lock()) {
      pools->write(writer);
    }
  });
}

void PickerMetrics::add_pool(const std::string& name, Pool pool) {
  const std::lock_guard lock(pools_->mutex);
  pools_->pools[name] = std::move(pool);
}

void PickerMetrics::remove_pool(const std::string& name) {
  const std::lock_guard lock(pools_->mutex);
  pools_->pools.erase(name);
}

std::shared_ptr<RequestMetrics> PickerMetrics::requests() {
  const std::lock_guard lock(pools_->mutex);
  if (!pools_->requests) {
    pools_->requests = std::make_shared<RequestMetrics>();
  }
  return pools_->requests;
}

PickerMetrics::Counts& PickerMetrics::attempt(const EndpointState* endpoint, std::string_view model) {
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
      .emplace(key, Counts{attempts_.with({status, model, name, space, port}),
                           attempts_older_.with({status, model, name, space, port})})
      .first->second;
}

PickerMetrics::Counts& PickerMetrics::disaggregation(std::string_view model, std::string_view type,
                                                     const Plugin& handler) {
  const std::hash<std::string_view> hash;
  const std::size_t key = (hash(model) * 37 + hash(type)) * 37 + hash(handler.name);
  const auto known = series_.find(key);
  if (known != series_.end()) {
    return known->second;
  }
  const std::string_view named = model.empty() ? "unknown" : model;
  const bool two_stages = handler.type == "pd-profile-handler";
  return series_
      .emplace(
          key,
          Counts{(two_stages ? prefills_ : disaggregations_).with({named, type, handler.name, handler.type}),
                 (two_stages ? prefills_older_ : disaggregations_older_).with({named, type})})
      .first->second;
}

const PickerMetrics::Hits& PickerMetrics::hits(const Plugin& predictor) {
  const std::hash<std::string_view> hash;
  Hits& found = hits_[hash(predictor.name) * 37 + hash(predictor.type)];
  if (!found.ratio) {
    found = {hit_ratio_.with({predictor.name, predictor.type}),
             hit_bytes_.with({predictor.name, predictor.type})};
  }
  return found;
}

void PickerMetrics::decided(const Plan& plan, const Cycle& cycle, const Stages& stages, Duration took) {
  const double seconds = std::chrono::duration<double>(took).count();
  seconds_.observe(seconds);
  seconds_older_.observe(seconds);
  const auto count = [](const Counts& twin) {
    twin.current->add();
    twin.older->add();
  };
  const Row chosen = stages.primary.front();
  const std::string_view model = cycle.request().target();
  const std::lock_guard lock(mutex_);
  if (plan.prediction && cycle.scalar(plan.prediction->total) > 0) {
    const double matched = cycle.at(plan.prediction->cached, chosen);
    const double ratio = matched / cycle.scalar(plan.prediction->total);
    const double bytes = matched * cycle.scalar(plan.prediction->block_tokens) * 4;
    const Hits& current = hits(*plan.predictor);
    current.ratio->observe(ratio);
    hit_ratio_older_.observe(ratio);
    current.bytes->observe(bytes);
    hit_bytes_older_.observe(bytes);
  }
  count(attempt(&cycle.endpoint(chosen), model));
  if (plan.handler != nullptr && plan.handler->is_disaggregating()) {
    const bool encodes = !stages.encode.empty();
    count(disaggregation(model,
                         stages.prefill ? (encodes ? "encode-prefill-decode" : "prefill-decode")
                                        : (encodes ? "encode-decode" : "decode-only"),
                         *plan.handler));
  }
}

void PickerMetrics::rejected(const Cycle& cycle, Duration took) {
  const double seconds = std::chrono::duration<double>(took).count();
  seconds_.observe(seconds);
  seconds_older_.observe(seconds);
  const std::lock_guard lock(mutex_);
  const Counts& failed = attempt(nullptr, cycle.request().target());
  failed.current->add();
  failed.older->add();
}

void PickerMetrics::Pools::write(metrics::TextWriter& writer) {
  const std::lock_guard lock(mutex);
  Page page;
  if (requests) {
    requests->write(page);
  }
  for (const auto& [name, pool] : pools) {
    const PoolView view = pool.look();
    write_pool(page, name, view);
    write_endpoints(page, name, *view.endpoints);
    if (view.flow_control) {
      write_saturation(page, name, view);
    }
    pool.write(page);
  }
  page.write(writer);
}

}  // namespace llmd::picker
