// The simulated side of the server: an engine without weights, failures on demand, and headers that tell
// which replica answered.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/server/context.h"
#include "engine/server/engine_setup.h"
#include "engine/sim/simulated_engine.h"

namespace llmd::engine {

struct SimulatedParts {
  std::unique_ptr<Observer> nobody;  // where reports go that fake metrics replace
  std::unique_ptr<EngineMetrics> metrics;
  std::shared_ptr<const ServedModel> model;
  std::unique_ptr<sim::SimulatedEngine> engine;
};

// Runs on the loop; engine->run() must be spawned. `cache`, if any, outlives the engine.
Result<SimulatedParts> simulate_engine(async::EventLoop& loop, const ServeOptions& options,
                                       metrics::Registry& registry, CacheListener* cache);

// The scheduler and the cache that the options ask for.
EngineCoreConfig simulated_core(const ServeOptions& options);

// What the next generation fails with, if it does.
std::function<std::optional<ApiError>()> failure_source(const sim::Options& options, std::string model);

// x-inference-pod, -port and -namespace, from POD_NAME and POD_NAMESPACE.
std::vector<std::pair<std::string, std::string>> replica_headers(int port);

}  // namespace llmd::engine
