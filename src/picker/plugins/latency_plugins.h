// latency-scorer: prefers endpoints by the headroom between predicted latency and the request's objectives.
// slo-headroom-tier-filter: endpoints that keep both objectives, or with probability epsilonExploreNeg the
// others.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_latency_scorer(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_slo_headroom_tier_filter(PluginSetup& setup);

}  // namespace llmd::picker
