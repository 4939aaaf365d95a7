// random-picker: any endpoint, scores do not count.
// weighted-random-picker: endpoints are drawn in proportion to their scores (Efraimidis and Spirakis' A-Res:
// the largest keys U^(1/score) win); without any positive score like random-picker.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_random_picker(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_weighted_random_picker(PluginSetup& setup);

}  // namespace llmd::picker
