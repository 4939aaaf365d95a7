#include "picker/picker_metrics.h"

#include <algorithm>
#include <cmath>

#include "picker/metrics/request_metrics.h"

namespace llmd::picker {
namespace {

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
  const auto refusing = std::ranges::count_if(view.endpoints->endpoints,
                                              [](const EndpointPtr& each) { return each->unreachable(); });
  page.gauge("llmd_picker_refusing_endpoints", "Endpoints that refuse connections and get no requests.",
             of_pool, static_cast<double>(refusing));
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

PickerMetrics::PickerMetrics(metrics::Registry& registry) : pools_(std::make_shared<Pools>()) {
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

void PickerMetrics::decided(const Plan& plan, const Cycle& cycle, const Stages& stages, Duration took) {
  pools_->decisions.decided(plan, cycle, stages, took);
}

void PickerMetrics::rejected(const Cycle& cycle, Duration took) {
  pools_->decisions.rejected(cycle, took);
}

void PickerMetrics::Pools::write(metrics::TextWriter& writer) {
  const std::lock_guard lock(mutex);
  Page page;
  decisions.write(page);
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
