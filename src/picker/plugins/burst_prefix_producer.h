// burst-prefix-cache-producer: requests that arrive together and share a prompt go to one endpoint, which
// computes the prefix once.
//
// The first request opens a window of windowDurationMs; it and all that come before the window closes are
// held back and then assigned jointly (burst_assignment.h) to the endpoints that were candidates of the first
// one. An assigned endpoint shows as a full match of the prompt in the columns of this producer, for a
// prefix-cache-scorer that names it; all others as none. A request that comes when the window already holds
// maxBatchSize, or that cannot wait for its end, goes on at once and unassigned, and so does what is decided
// without waiting (Picker::pick: what is tried again after a failure). To hold that once more would cost its
// client another window and gain nothing: the requests that it came with have gone, to the endpoint that has
// just failed. A client that leaves is not counted.
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_burst_prefix_producer(PluginSetup& setup);

}  // namespace llmd::picker
