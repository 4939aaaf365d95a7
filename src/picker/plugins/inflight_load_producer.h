// inflight-load-producer: what this request would add to an endpoint's load: the prompt tokens that its cache
// does not have, and optionally an estimate of the answer. Leases count them until the answer begins.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_inflight_load_producer(PluginSetup& setup);

}  // namespace llmd::picker
