// data-parallel-profile-handler: one profile; the request goes to primaryPort of the picked rank's host, and
// x-data-parallel-host-port names the rank.
// header-profile-handler: the header names the profile.
// slo-aware-profile-handler: `slo` when x-prediction-based-scheduling is true, else `default`; only that one
// runs.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_data_parallel_profile_handler(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_header_profile_handler(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_slo_aware_profile_handler(PluginSetup& setup);

}  // namespace llmd::picker
