// max-score-picker: the highest weighted sum wins; ties are broken by chance, or in turn with `ties: turn`.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_max_score_picker(PluginSetup& setup);

}  // namespace llmd::picker
