// kv-cache-utilization-scorer (kv-cache-scorer): 1 - the used share of the engine's KV cache.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_kv_cache_scorer(PluginSetup& setup);

}  // namespace llmd::picker
