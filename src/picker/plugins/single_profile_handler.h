// single-profile-handler: runs the only profile.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_single_profile_handler(PluginSetup& setup);

}  // namespace llmd::picker
