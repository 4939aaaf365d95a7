// precise-prefix-cache-producer: which endpoint has how much of a prompt, as the engines themselves report by
// KV events (kvcache/kv_index.h). Needs the prompt's tokens (Request::tokens); without them nothing is known.
// precise-prefix-cache-scorer: the same with a scorer for it in one plugin: matched / total blocks. Where the
// configuration lists a producer, it scores what that one finds and has no index of its own.
//
//   tokenProcessorConfig{blockSizeTokens 16, hashSeed, hashAlgorithm}   also inside indexerConfig
//   indexerConfig{kvCacheBackendConfigs gpu 1.0, cpu 0.8}               stores are in memory whatever is
//   named kvEventsConfig{zmqEndpoint, topicFilter, discoverPods, podDiscoveryConfig{socketPort 5557,
//   replaySocketPort 0}} speculativeIndexing false, speculativeTTL 2s
#pragma once

#include <memory>

#include "picker/registry.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_precise_prefix_producer(PluginSetup& setup);
Result<std::unique_ptr<Plugin>> make_precise_prefix_scorer(PluginSetup& setup);

}  // namespace llmd::picker
