// Deciders: whether prefill (or encode) on another endpoint pays.
// prefix-based-pd-decider           when at least nonCachedTokens of the prompt are not cached on the decode
// endpoint always-disagg-pd-decider          always always-disagg-multimodal-decider  when the request
// carries images, video or audio
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_prefix_based_pd_decider(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_always_disagg_pd_decider(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_always_disagg_multimodal_decider(PluginSetup& setup);

}  // namespace llmd::picker
