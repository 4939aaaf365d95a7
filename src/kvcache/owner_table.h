// OwnerTable: block hash -> set of owners (endpoint and tier). One writer, any number of readers without
// locks.
//
// An entry is two words: the hash and its owners. Up to three owners stand in the word itself; more stand in
// a bit set of one plane per tier. Entries never move inside an array: removal leaves a mark, and an array
// with too few free places is replaced by a new one (1/8 of the table at a time), the old one freed when no
// reader can see it.
//
// Why a reader never mixes up two blocks: a writer that reuses a place first removes the hash, then writes
// the owners, then the new hash. A reader takes hash, owners, hash again, and drops what changed in between;
// the owners' word also carries 13 bits of the hash it was written for.
//
// Runs (owner_runs.h) let readers pass many blocks of a chain at a time. join() makes them, any change of one
// of their blocks breaks them.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "kvcache/block_hash.h"
#include "kvcache/mixing.h"
#include "kvcache/owner_runs.h"
#include "kvcache/owner_sets.h"
#include "kvcache/owner_slots.h"
#include "kvcache/owner_word.h"
#include "kvcache/reader_epoch.h"

namespace llmd::kvcache {

struct Owner {
  std::uint16_t slot = 0;
  std::uint8_t tier = 0;
};

class OwnerTable {
 public:
  OwnerTable(std::size_t max_endpoints, std::size_t tiers, bool with_runs);
  ~OwnerTable();

  // Words of one plane (one bit per endpoint), and of all planes together.
  std::size_t plane_words() const { return sets_.plane_words(); }
  std::size_t tiers() const { return sets_.tiers(); }

  // ── Writer ──
  enum class Change { None, FirstOfBlock, FirstOfEndpoint, Tier, LastOfEndpoint, LastOfBlock, Refused };
  // None: it was there already. FirstOfEndpoint: the endpoint did not hold the block in any tier before.
  Change add(BlockHash hash, Owner owner);
  // Tier: the endpoint still holds it in another tier. LastOfBlock: now nobody holds it.
  Change remove(BlockHash hash, Owner owner);
  // These blocks follow one another in a chain: makes runs of neighbours that have the same owners and are in
  // none, or in a broken one. `behind`: the block that they follow, where it is known; then a run that ends
  // there grows, so that blocks which come one at a time end up in runs as well.
  void join(std::span<const BlockHash> blocks, std::optional<BlockHash> behind = std::nullopt);

  // ── Readers, under guard() ──
  ReaderEpoch::Guard guard() const { return ReaderEpoch::Guard(epoch_); }
  // Where a block would be. Making one starts to fetch the place, so make many before asking with the first.
  struct Probe {
    std::uint64_t key;
    std::uint64_t check;
    const OwnerSlots* slots;
    std::size_t place;
  };
  Probe probe(BlockHash hash) const;
  struct Found {
    std::uint64_t word = 0;  // the owners' word as it stands (owner_word.h); 0 when nobody holds the block
    std::size_t place = 0;
  };
  static Found find(const Probe& probe);
  static std::uint64_t look(const Probe& probe) { return find(probe).word; }
  // `rest` is the chain from the block that was found on. How many of these have the same owners for sure, at
  // least 1. Known only at the first block of a run.
  std::uint32_t alike(const Probe& probe, const Found& found, std::span<const BlockHash> rest) const;
  // Starts to fetch what find() and alike() will want.
  void prefetch(BlockHash hash) const {
    const Probe there = probe(hash);
    __builtin_prefetch(&there.slots->runs[there.place]);
  }
  // Starts to fetch the owners of a block that many have; the place itself should be there by now.
  void prefetch_owners(const Probe& probe) const {
    if (const std::uint64_t word = look(probe); owner_word::is_set(word)) {
      __builtin_prefetch(sets_.at(owner_word::set_of(word)));
    }
  }
  // Sets `planes` (tiers × plane_words, tier by tier) to who holds the block. False, and all zero, when
  // nobody does.
  bool owners(const Probe& probe, std::span<std::uint64_t> planes) const;
  // The same without the difference between tiers (plane_words).
  bool any_owners(const Probe& probe, std::span<std::uint64_t> words) const;
  // The same for a word that is no set.
  void inline_owners(std::uint64_t word, std::span<std::uint64_t> planes) const;
  void inline_any_owners(std::uint64_t word, std::span<std::uint64_t> words) const;

  std::size_t blocks() const { return blocks_.load(std::memory_order_relaxed); }
  std::size_t memory_bytes() const;

 private:
  struct Shard {
    std::atomic<OwnerSlots*> slots = nullptr;
    std::size_t used = 0;   // places with a hash or a mark; the writer's
    std::size_t marks = 0;  // of those, marks of removed entries
  };
  static constexpr std::size_t kShards = 8;
  static constexpr std::size_t kLongestRun = 64;
  static constexpr std::size_t kShortestRun = 4;         // where no more will come
  static constexpr std::size_t kShortestGrowingRun = 2;  // where blocks come one at a time

  static std::uint64_t key_of(BlockHash hash) { return hash <= OwnerSlots::kRemoved ? hash + 2 : hash; }
  template <bool kTiered>
  bool read(const Probe& probe, std::span<std::uint64_t> words) const;
  template <bool kTiered>
  void expand(std::uint64_t word, std::span<std::uint64_t> words) const;
  OwnerEntry* entry_of(Shard& shard, std::uint64_t key, std::uint64_t mixed_hash);
  void insert_new(Shard& shard, std::uint64_t key, std::uint64_t mixed_hash, std::uint64_t owners);
  void erase(Shard& shard, OwnerEntry& entry);
  void make_room(Shard& shard);
  struct Member {
    Shard* shard;
    OwnerEntry* entry;   // null: nobody holds the block
    std::uint64_t word;  // its owners; 0: nobody
    std::uint64_t key;
    bool is_loose;  // may become part of a run
  };
  Member member(BlockHash hash);
  void put_in_run(const Member& member, std::uint32_t number);
  void make_run(std::span<const Member> members);
  std::size_t grow_run(BlockHash behind, std::span<const BlockHash> blocks);
  std::atomic<std::uint32_t>& run_of(Shard& shard, const OwnerEntry& entry);
  std::uint64_t leave_run(Shard& shard, OwnerEntry& entry);
  bool is_in_whole_run(Shard& shard, const OwnerEntry& entry, std::uint64_t word);
  Change add_inline(OwnerEntry& entry, std::uint64_t word, Owner owner);
  Change remove_inline(Shard& shard, OwnerEntry& entry, std::uint64_t word, Owner owner);
  Change remove_from_set(Shard& shard, OwnerEntry& entry, std::uint64_t word, Owner owner);
  std::uint64_t inline_word(std::uint64_t check, std::uint32_t set) const;

  std::uint64_t secret_;
  bool with_runs_;
  OwnerSets sets_;
  OwnerRuns runs_;
  std::array<Shard, kShards> shards_;
  ReaderEpoch epoch_;
  std::atomic<std::size_t> blocks_ = 0;
  std::atomic<std::size_t> slot_bytes_ = 0;
};

inline OwnerTable::Probe OwnerTable::probe(BlockHash hash) const {
  const std::uint64_t key = key_of(hash);
  const std::uint64_t where = mixed(key, secret_);
  const OwnerSlots* const slots = shards_[where % kShards].slots.load(std::memory_order_acquire);
  const std::size_t place = slots->home(where);
  __builtin_prefetch(&slots->entries[place]);
  return {key, owner_word::check_bits(where), slots, place};
}

inline OwnerTable::Found OwnerTable::find(const Probe& probe) {
  const OwnerSlots& slots = *probe.slots;
  for (std::size_t place = probe.place;; place = slots.after_line(place)) {
    // A whole cache line at once: where in it a block stands is random, and a branch per place would be
    // guessed wrong.
    const OwnerEntry* const line = &slots.entries[place];
    unsigned found = 0;
    unsigned empty = 0;
    for (unsigned i = 0; i < OwnerSlots::kLine; ++i) {
      const std::uint64_t hash = line[i].hash.load(std::memory_order_acquire);
      found |= static_cast<unsigned>(hash == probe.key) << i;
      empty |= static_cast<unsigned>(hash == OwnerSlots::kEmpty);
    }
    if (found != 0) {
      const auto in_line = static_cast<std::size_t>(std::countr_zero(found));
      const OwnerEntry& entry = line[in_line];
      const std::uint64_t word = entry.owners.load(std::memory_order_acquire);
      const bool same = entry.hash.load(std::memory_order_relaxed) == probe.key &&
                        (word & owner_word::kCheckMask) == probe.check;
      return same ? Found{word, place + in_line} : Found();
    }
    if (empty != 0) {
      return {};
    }
  }
}

}  // namespace llmd::kvcache
