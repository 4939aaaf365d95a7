// Profile handlers of disaggregated serving. The decode endpoint is the one the request goes to; prefill and
// encode endpoints are named in headers.
// disagg-profile-handler   stages decode, encode, prefill with a decider each; prefill first if wanted
// pd-profile-handler       decode and prefill; of v0.2 to v0.5 with `threshold` in characters, later with a
// decider disagg-headers-handler (prefill-header-handler)   accepted; handlers name the endpoints themselves
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_disagg_profile_handler(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_pd_profile_handler(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_disagg_headers_handler(PluginSetup& setup);

}  // namespace llmd::picker
