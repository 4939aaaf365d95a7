// What the loops of one gateway share. Private to gateway.
#pragma once

#include <atomic>
#include <map>

#include "async/snapshot.h"
#include "gateway/gateway.h"
#include "gateway/model_directory.h"
#include "gateway/outliers.h"
#include "gateway/retry_budget.h"
#include "gateway/traffic.h"
#include "metrics/registry.h"
#include "picker/picker.h"

namespace llmd::gateway {

// The route table with the living side of its backends.
struct Routing {
  RouteTable table;
  std::map<std::string, std::shared_ptr<picker::Picker>, std::less<>> pickers;  // by backend key
};

// One row per route and status; durations per route.
struct Metrics {
  explicit Metrics(metrics::Registry& registry)
      : requests(registry.counters("llmd_gateway_requests_total", "Requests by route and status code.",
                                   {"route", "code"})),
        seconds(registry.histograms("llmd_gateway_request_duration_seconds",
                                    "From the request's head to the end of its answer.", {"route"})),
        retries(registry.counter("llmd_gateway_retries_total",
                                 "Requests sent to another endpoint before the first byte.")),
        hedges(registry.counters("llmd_gateway_hedges_total",
                                 "Requests whose answer was late and that a second endpoint got as well, by "
                                 "who served them.",
                                 {"served_by"})),
        external_picks(registry.counters("llmd_gateway_external_picks_total",
                                         "Questions to external endpoint pickers and what came of them.",
                                         {"picker", "outcome"})) {}
  metrics::Family<metrics::Counter>& requests;
  metrics::Family<metrics::Histogram>& seconds;
  metrics::Counter& retries;
  metrics::Family<metrics::Counter>& hedges;
  metrics::Family<metrics::Counter>& external_picks;
};

struct Shared {
  explicit Shared(GatewayOptions chosen)
      : options(chosen),
        traffic(chosen.configuration ? *chosen.configuration : GatewayConfiguration(), chosen.tracer) {}

  // When a request that began then has to be over.
  async::Deadline end_of(TimePoint began, const std::optional<Duration>& limit_of_route = {}) const {
    const Duration limit = limit_of_route.value_or(options.total_timeout);
    return limit > Duration::zero() ? async::Deadline::at(began + limit) : async::Deadline::never();
  }

  const GatewayOptions options;
  Traffic traffic;
  ModelDirectory* directory = nullptr;  // set before the first request; outlives the lanes
  async::Snapshot<Routing> routing;
  std::atomic<std::size_t> held_bytes{0};
  Outliers outliers{options.outliers};
  RetryBudget retry_budget;
  std::atomic<unsigned> turn{0};  // differs between tries
  metrics::Registry registry;
  Metrics metrics{registry};
};

}  // namespace llmd::gateway
