// What the picker's HTTP port answers: /metrics, /healthz, /debug, /debug/plugins/state,
// /debug/explain?id=… or ?last=…, /debug/explanations (for replay); with several pools the last ones take
// &pool=NAME. What is below /debug tells about prompts and endpoints, so it answers loopback peers only
// (`kubectl port-forward` is one). Private to extproc.
#pragma once

#include <functional>

#include "extproc/metrics_guard.h"
#include "extproc/pools.h"
#include "http/server.h"
#include "metrics/registry.h"

namespace llmd::extproc {

// `describe` adds to what /debug says.
http::Handler debug_handler(std::shared_ptr<const Pools> pools, const metrics::Registry& registry,
                            std::shared_ptr<MetricsGuard> guard, std::function<void(json::Object&)> describe);

}  // namespace llmd::extproc
