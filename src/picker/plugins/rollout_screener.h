// disaggregatedset-rollout-screener: while prefill and decode sets are rolled out, a request is served by one
// revision only. A revision that covers all required roles is drawn in proportion to its endpoints (their
// sum, or the most of one role). Header selectors narrow endpoints by label; `strict` ones to nothing when
// none matches.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_rollout_screener(PluginSetup& setup);

}  // namespace llmd::picker
