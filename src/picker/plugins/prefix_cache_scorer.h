// prefix-cache-scorer: the share of the prompt that an endpoint's cache has:
// w * min(1, matched tokens / matchLengthScaleTokens)^2 + (1 - w) * matched / total, with w =
// matchLengthWeight. Parameters of the producer are understood, too, as in documents before it became a
// plugin of its own; so is `mode: cache_tracking` of v0.2, which stands for the precise producer.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_prefix_cache_scorer(PluginSetup& setup);

}  // namespace llmd::picker
