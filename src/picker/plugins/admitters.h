// probabilistic-admitter: refuses sheddable requests with probability min(k * saturation^power, 1).
// latency-slo-admitter: refuses sheddable requests with objectives that no endpoint is predicted to keep.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_probabilistic_admitter(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_latency_slo_admitter(PluginSetup& setup);

}  // namespace llmd::picker
