// approx-prefix-cache-producer: which endpoint has how much of a prompt, guessed from where prompts were
// sent. A prompt is a chain of block hashes (kvcache/block_hash.h); a chain is learnt when its request is
// dispatched, in the background, and forgotten least recently used first when an endpoint's share is full.
//
// Guesses are checked: engines that report cached tokens show whether their cache was what we thought
// (prediction_check.h), and an endpoint that has lost its cache is forgotten.
//
//   autoTune true               block size and capacity as the engines report them, blocks of at least 64
//   tokens blockSizeTokens 16          an explicit size is taken as it is (multiples of 16)
//   maxPrefixTokensToMatch 131072, maxPrefixBlocksToMatch 2048, lruCapacityPerServer 31250
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_approximate_prefix_producer(PluginSetup& setup);

}  // namespace llmd::picker
