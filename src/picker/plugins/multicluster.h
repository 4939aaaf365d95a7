// Plugins of a picker whose endpoints are other clusters' gateways: their own pickers publish averages of
// queue and cache usage, which the extractor reads like an engine's.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_multicluster_queue_scorer(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_multicluster_kv_scorer(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_multicluster_extractor(PluginSetup& setup);

}  // namespace llmd::picker
