// no-hit-lru-scorer: spreads requests that no cache knows. With a hit anywhere every endpoint scores 0.5;
// without, those never used come first in listed order, then the least recently used:
// 1 - position / (n - 1), 1 for a single endpoint.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_no_hit_lru_scorer(PluginSetup& setup);

}  // namespace llmd::picker
