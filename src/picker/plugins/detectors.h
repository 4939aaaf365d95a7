// Saturation detectors, which are filters, too.
// utilization-detector   mean over endpoints of max(queue / queueDepthThreshold, usage /
// kvCacheUtilThreshold); an
//                        endpoint without fresh numbers counts as full
// concurrency-detector   requests (or tokens, or both) in flight against what the endpoints may carry
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_utilization_detector(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_concurrency_detector(PluginSetup& setup);

}  // namespace llmd::picker
