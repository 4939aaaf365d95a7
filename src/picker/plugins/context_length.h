// context-length-aware: prefers endpoints whose label names a range of prompt lengths (`min-max` in tokens)
// that fits the request, the narrower the better; optionally filters out those that do not fit.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_context_length_aware(PluginSetup& setup);

}  // namespace llmd::picker
