// How full the pool may be for each priority before its requests wait.
// static-usage-limit-policy        one ceiling for all
// priority-holdback-policy         lower priorities get lower ceilings, by rank or by value
// soft-reflective-ceiling-policy   the top is never held back; band i is open while saturation < 1 -
// i*s/(n-1), and
//                                  beyond that for one call in round(s / (1 - s))
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_static_usage_limit(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_priority_holdback(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_soft_reflective_ceiling(PluginSetup& setup);

}  // namespace llmd::picker
