// burst-prefix-cache-producer: identical prompts that arrive together go to one endpoint, which computes
// their prefix once. The first prompt of a window of windowDurationMs is assigned to the endpoint with the
// fewest requests in flight; those that share at least minColocateBlocks leading blocks with it follow, while
// that endpoint has taken no more than its share of the window (maxPerReplica, or the number of requests
// divided by endpoints, rounded up). Upstream holds requests back until the window closes; here nobody waits:
// assignments are made as requests come, and forgotten when the window has passed.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_burst_prefix_producer(PluginSetup& setup);

}  // namespace llmd::picker
