// PrefixIndex: which endpoints hold which blocks, and for a prompt the length of the prefix that each of them
// already has, all endpoints in one call.
//
//   PrefixIndex index({.max_endpoints = 256});
//   const auto a = index.add_endpoint(31'250);               // capacity in blocks
//   index.insert(*a, chain);                                 // after routing a prompt there
//   index.match(chain, blocks);                              // blocks[slot] = matching blocks from the start
//
// Two ways to feed it, chosen once:
//   Feed::Chains  the caller guesses: insert() records whole chains from their first block. The least
//                 recently used blocks of an endpoint leave first, and always a block after the blocks that
//                 follow it, so what an endpoint holds is closed under "prefix of". match() is a binary
//                 search.
//   Feed::Blocks  engines report: store() and remove() blocks, per tier. Nothing is closed: an engine may
//                 drop a block and keep those behind it. Such a hole ends the prefix, since what lies behind
//                 it is worth nothing to an engine; match() says exactly where, as a walk block by block
//                 would. It does not go block by block, though: blocks that were stored together, or each
//                 behind the one before it, are passed together (a run of up to 64) as long as all have the
//                 same few owners. Only where a run was torn, or four and more endpoints hold its blocks,
//                 single blocks are looked at, with those ahead on their way from memory. The capacity is a
//                 bound against engines that never remove; past it the oldest blocks leave.
//
// Threads. match() and match_tiers(): any number of threads at any time, never wait, never allocate.
// Everything else: any thread; these wait for each other (a mutex; a new block takes about half a microsecond
// when its place is not cached). A match that runs beside a change sees each block either before or after it.
//
// Memory per (endpoint, block) pair: about 30 bytes with Feed::Chains (chain_runs.h), 57 with Feed::Blocks
// (endpoint_blocks.h); blocks on four or more endpoints share a bit set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/result.h"
#include "kvcache/block_hash.h"

namespace llmd::kvcache {

// Where an endpoint keeps a block. The meaning of the numbers is the caller's (kv_index.h names them); a
// block held in several tiers counts for the lowest.
using Tier = std::uint8_t;
inline constexpr std::size_t kMaxTiers = 8;
inline constexpr std::size_t kMaxEndpoints = 2048;

// An endpoint in this index. `slot` is its place in match()'s output; slots are reused, the generation makes
// changes that come too late for a removed endpoint do nothing.
struct EndpointHandle {
  std::uint16_t slot = 0;
  std::uint16_t generation = 0;
  bool operator==(const EndpointHandle&) const = default;
};

// How much of a prompt an endpoint holds: contiguous blocks from the first, by the best tier of each.
struct TierMatch {
  std::uint32_t blocks = 0;
  std::array<std::uint32_t, kMaxTiers> by_tier{};
  bool operator==(const TierMatch&) const = default;
};

class PrefixIndex {
 public:
  enum class Feed { Chains, Blocks };
  struct Options {
    std::size_t max_endpoints = 256;  // up to kMaxEndpoints
    std::size_t tiers = 1;            // up to kMaxTiers
    Feed feed = Feed::Chains;
  };
  struct Stats {
    std::size_t endpoints = 0;
    std::size_t blocks = 0;           // distinct
    std::size_t entries = 0;          // pairs of endpoint and block
    std::size_t memory_bytes = 0;     // of tables and lists
    std::uint64_t evictions = 0;      // pairs that left because of a capacity
    std::uint64_t stale_changes = 0;  // for endpoints that were gone already
    std::uint64_t refused = 0;        // owners not recorded because too many blocks are shared
  };

  explicit PrefixIndex(Options options);
  ~PrefixIndex();
  PrefixIndex(const PrefixIndex&) = delete;

  // ResourceExhausted past max_endpoints. The capacity is at least 1.
  Result<EndpointHandle> add_endpoint(std::size_t capacity);
  void remove_endpoint(EndpointHandle endpoint);  // forgets its blocks at once
  void set_capacity(EndpointHandle endpoint, std::size_t capacity);
  void clear(EndpointHandle endpoint);

  // The endpoint holds this chain from its first block on, in tier 0; its blocks become the most recent. Of a
  // chain longer than the capacity the beginning is kept.
  void insert(EndpointHandle endpoint, std::span<const BlockHash> chain);
  // Feed::Blocks only. `blocks` follow one another in one chain, from anywhere in it on. `behind`: the block
  // before the first of them, where it is known; then blocks that come one at a time are matched as fast as
  // those that come together.
  void store(EndpointHandle endpoint, Tier tier, std::span<const BlockHash> blocks,
             std::optional<BlockHash> behind = std::nullopt);
  void remove(EndpointHandle endpoint, Tier tier, std::span<const BlockHash> blocks);

  // blocks[slot] = how many blocks from the start the endpoint of that slot holds, in any tier. Slots without
  // an endpoint get 0. `blocks` must have slots() items; more are set to 0.
  void match(std::span<const BlockHash> chain, std::span<std::uint32_t> blocks) const;
  // The same by tiers; walks, whatever the feed.
  void match_tiers(std::span<const BlockHash> chain, std::span<TierMatch> matches) const;

  // One more than the highest slot that was ever handed out.
  std::size_t slots() const;
  Stats stats() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::kvcache
