// active-request-scorer: the fewer requests this picker has running on an endpoint, the better. 1 up to
// idleThreshold requests, else (max - n) / max * maxBusyScore.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_active_request_scorer(PluginSetup& setup);

}  // namespace llmd::picker
