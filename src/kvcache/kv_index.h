// KvIndex: the precise prefix index. Engines report their blocks by KV events; requests ask with keys made
// from their tokens. It knows which part of a prompt an engine has now, not which part it once got.
//
//   KvIndex index({.block_size = 16});
//   const auto a = *index.add_endpoint();
//   index.apply(a, "model", batch);                          // from kv_follower.h, or by hand
//   const RequestKeys keys = index.keys("model");
//   index.match(chain, matches);                             // matches[a.slot]
//
// Two names for a block. An engine's own hash is an opaque handle: its seed and algorithm are nobody's
// business. The request key is made here, from the tokens in BlockStored and the key of the parent block.
// Only tokens, model and extra keys must agree. Consequences:
//   * a block whose parent is unknown (a late subscriber without replay) cannot be placed and is skipped, and
//   so are the
//     blocks below it;
//   * block sizes should agree. An engine with larger blocks is fine for text. With smaller ones, only events
//   that fill
//     whole request blocks count; stats() and engine_block_size() tell.
//   * an announcement without tokens says that known blocks are in one more tier.
//
// Tiers: listed names ("gpu", "cpu", …) with weights, all others together, and "speculative": what was routed
// a moment ago and will be there soon (expect()). A block counts for the best tier that has it.
//
// Threads: everything from any thread. match() never waits; the others wait for each other.
//
// Memory: about 90 bytes per block and engine: 50 in the prefix index, 40 for the engine's names.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "kvcache/block_hash.h"
#include "kvcache/kv_event.h"
#include "kvcache/prefix_index.h"

namespace llmd::kvcache {

struct TierWeight {
  std::string name;  // lower case
  double weight = 1;
};

// Events of a cache group that were not placed, by the group's kind ("sliding_window"; "unknown" where nobody
// said) and the reason ("unsupported_cache_kind", "invalid_block_size", "non_dense_block_span").
struct SkippedEvents {
  std::string cache_kind;
  std::string_view reason;
  std::uint64_t stores = 0;
  std::uint64_t removals = 0;
};

class KvIndex {
 public:
  struct Options {
    KeyAlgorithm algorithm = KeyAlgorithm::Xxh64;
    std::string seed;
    std::uint32_t block_size = 16;
    std::vector<TierWeight> tiers = {{"gpu", 1.0}, {"cpu", 0.8}};  // up to kMaxTiers - 2
    std::size_t max_endpoints = 256;
    std::size_t capacity = 1'000'000;  // blocks per endpoint; one that reports twice as many is cleared
    Duration speculative_ttl = std::chrono::seconds(2);
    std::size_t max_speculative = 1'000'000;  // blocks expected at once
  };
  struct Stats {
    PrefixIndex::Stats index;
    std::size_t engine_blocks = 0;
    std::size_t engine_memory_bytes = 0;
    std::size_t speculative = 0;
    std::uint64_t stored = 0;   // blocks
    std::uint64_t removed = 0;  // blocks
    std::uint64_t tier_updates = 0;
    std::uint64_t cleared = 0;          // AllBlocksCleared, resets, overflows
    std::uint64_t unknown_parents = 0;  // events skipped
    std::uint64_t skipped_groups =
        0;                        // events of groups that are no prefix caches (sliding windows, Mamba, …)
    std::uint64_t sparse = 0;     // events skipped whose tokens do not fill their blocks
    std::uint64_t unaligned = 0;  // events that begin or end inside a request block
    std::uint64_t overflows = 0;
    // Removals of blocks that the engine has stored once more (chunked offloading does), and all others.
    std::uint64_t suppressed_removals = 0;
    std::uint64_t forwarded_removals = 0;
    std::vector<SkippedEvents> skipped;
  };

  explicit KvIndex(Options options);
  ~KvIndex();

  Result<EndpointHandle> add_endpoint();
  void remove_endpoint(EndpointHandle endpoint);

  // `model` is the engine's served name; an event of an adapter counts for the adapter's.
  void apply(EndpointHandle endpoint, std::string_view model, const EventBatch& batch);
  void clear(EndpointHandle endpoint);

  // For requests. `model` is the adapter's name where one is used.
  RequestKeys keys(std::string_view model) const;
  std::uint32_t block_size() const;
  // See PrefixIndex::match_tiers; tier numbers are those of tier_names().
  void match(std::span<const BlockHash> keys, std::span<TierMatch> matches) const;
  std::size_t slots() const;
  // Blocks times the weight of the tier they are in.
  double weighted(const TierMatch& match) const;
  const std::vector<std::string>& tier_names() const;  // best first; "other" and "speculative" among them

  // The endpoint will have these blocks soon: they count until `now` plus the time to live. The index forgets
  // overdue ones here and in expire(), which somebody calls a few times per second.
  void expect(EndpointHandle endpoint, std::span<const BlockHash> keys, TimePoint now);
  void expire(TimePoint now);

  // Of the last BlockStored; 0 before the first.
  std::uint32_t engine_block_size(EndpointHandle endpoint) const;
  Stats stats() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::kvcache
