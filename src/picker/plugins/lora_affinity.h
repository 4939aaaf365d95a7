// lora-affinity-scorer: 1 where the target adapter is active, 0.8 where there is room for another, 0.6 where
// it waits, else 0. lora-affinity-filter (v0.5): with probability `threshold` only endpoints that have the
// adapter, otherwise only those with room; falls back to whichever group is not empty.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_lora_affinity_scorer(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_lora_affinity_filter(PluginSetup& setup);

}  // namespace llmd::picker
