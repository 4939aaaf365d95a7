// Which endpoint each of the requests that arrived together should go to, so that what they share is computed
// once. Pure. Private to plugins.
//
//   1. Requests with the same prompt are one unit. A prompt that came once is a unit only if it shares its
//      first `least_shared` blocks with another request (0: never). What is in no unit goes anywhere.
//   2. Units of several requests are placed first, then those of one; longer prompts before shorter ones.
//   3. A unit goes where most of its beginning already is, if that is at least `least_shared` blocks and the
//      endpoint has less than its share, ceil(total / endpoints); otherwise to the endpoint with the least
//      load. Equals: fewer running requests, then the name.
//   4. An endpoint takes at most `most_per_endpoint` of a unit, then the next one with the least load does.
//
// The load is what was placed here: requests, or the blocks an endpoint has to compute.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "kvcache/block_hash.h"

namespace llmd::picker {

struct BurstRules {
  std::int64_t most_per_endpoint = -1;  // of one unit; -1: all
  std::size_t least_shared = 0;         // blocks; 0: only equal prompts stay together
  bool by_blocks = false;               // balance blocks instead of requests
};

struct BurstEndpoint {
  std::string_view name;
  float running = 0;
};

// For each prompt (its chain of blocks) the position of its endpoint; nullopt: any. Time: as all blocks, plus
// units times endpoints times the logarithm of the longest prompt.
std::vector<std::optional<std::size_t>> assign_burst(std::span<const std::vector<kvcache::BlockHash>> prompts,
                                                     std::span<const BurstEndpoint> endpoints,
                                                     const BurstRules& rules);

}  // namespace llmd::picker
