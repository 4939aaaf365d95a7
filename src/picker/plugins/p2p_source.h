// p2p-source-producer: names an endpoint to fetch cached blocks from, when another one has at least
// minCachedTokenDelta tokens more of the prompt than the endpoint that computes: among those within one block
// of the longest, drawn in proportion to 1 / (1 + waiting) by the request's id.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_p2p_source_producer(PluginSetup& setup);

}  // namespace llmd::picker
