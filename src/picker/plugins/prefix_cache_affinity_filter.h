// prefix-cache-affinity-filter: keeps only endpoints that hold at least affinityThreshold of the prompt,
// unless the best of them would begin to answer maxTTFTPenaltyMs later than the best of the rest. The time to
// the first token comes from the tokens in flight and peakPrefillThroughput, or from the latency predictor.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_prefix_cache_affinity_filter(PluginSetup& setup);

}  // namespace llmd::picker
