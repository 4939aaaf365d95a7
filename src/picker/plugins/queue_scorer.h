// queue-scorer, running-requests-size-scorer: the fewer requests wait (run) at the engine, the better:
// (max - n) / (max - min) over the scored endpoints, 1 for all when they are equal.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_queue_scorer(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_running_scorer(PluginSetup& setup);

}  // namespace llmd::picker
