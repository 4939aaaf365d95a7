// From the options to a running engine: loads model, tokenizer and template, sizes the cache.
#pragma once

#include <functional>
#include <memory>

#include "async/event_loop.h"
#include "engine/core/engine_core.h"
#include "engine/server/engine_metrics.h"
#include "engine/server/serve_options.h"
#include "engine/server/served_model.h"

namespace llmd::engine {

// Members are destroyed last to first: the engine before what it reports to.
struct LoadedEngine {
  std::unique_ptr<EngineMetrics> metrics;
  std::shared_ptr<const ServedModel> model;
  std::unique_ptr<Engine> engine;
};

// Blocks while it reads files: not for the loop's thread. `on_death` is called on the engine's thread;
// `cache`, if any, outlives the engine.
Result<LoadedEngine> load_engine(const ServeOptions& options, metrics::Registry& registry,
                                 CacheListener* cache, std::function<void(const Error&)> on_death);

// The name that metrics, topics and model cards give first.
const std::string& first_name(const ServeOptions& options);

// generation_config.json of a folder: what it says about sampling. Missing: nothing.
Result<GenerationDefaults> read_generation_config(const std::filesystem::path& folder);

// Shared with the simulation: what the options alone say of a model, and the scheduler's part.
std::shared_ptr<ServedModel> served_model(const ServeOptions& options);
EngineCoreConfig core_config(const ServeOptions& options, int max_running);

}  // namespace llmd::engine
