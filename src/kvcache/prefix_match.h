// The three ways to match a chain against an OwnerTable; PrefixIndex documents them. All under the table's
// guard; no allocation, a few kilobytes of stack.
#pragma once

#include <cstdint>
#include <span>

#include "kvcache/owner_table.h"
#include "kvcache/prefix_index.h"

namespace llmd::kvcache {

// For tables where an endpoint that holds a block holds all before it: one binary search per endpoint, all in
// step, so that the look-ups of a round are in flight together.
void match_closed(const OwnerTable& table, std::span<const BlockHash> chain, std::span<std::uint32_t> blocks);
// Run by run, or block by block where there are no runs, until nobody is left.
void match_walking(const OwnerTable& table, std::span<const BlockHash> chain,
                   std::span<std::uint32_t> blocks);
void match_by_tier(const OwnerTable& table, std::span<const BlockHash> chain, std::span<TierMatch> matches);

}  // namespace llmd::kvcache
