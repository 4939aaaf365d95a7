#include "kvcache/owner_table.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"
#include "kvcache/mixing.h"
#include "kvcache/owner_word.h"

namespace llmd::kvcache {
namespace {

using namespace owner_word;

constexpr std::uint64_t kEmpty = OwnerSlots::kEmpty;
constexpr std::uint64_t kRemoved = OwnerSlots::kRemoved;
constexpr std::size_t kSmallest = 1024;

}  // namespace

OwnerTable::OwnerTable(std::size_t max_endpoints, std::size_t tiers, bool with_runs)
    : secret_(process_secret()), with_runs_(with_runs), sets_(max_endpoints, tiers) {
  for (Shard& shard : shards_) {
    auto* const slots = new OwnerSlots(kSmallest, with_runs_);
    slot_bytes_ += slots->bytes();
    shard.slots = slots;
  }
}

OwnerTable::~OwnerTable() {
  for (Shard& shard : shards_) {
    delete shard.slots.load();
  }
}

template <bool kTiered>
void OwnerTable::expand(std::uint64_t word, std::span<std::uint64_t> words) const {
  std::ranges::fill(words, 0);
  for (int i = 0; i < kInlineOwners; ++i) {
    const std::uint16_t packed = owner(word, i);
    if (packed != kNobody) {
      const std::size_t offset = kTiered ? tier_of(packed) * plane_words() : 0;
      words[offset + slot_of(packed) / 64] |= 1ULL << (slot_of(packed) % 64);
    }
  }
}

void OwnerTable::inline_owners(std::uint64_t word, std::span<std::uint64_t> planes) const {
  expand<true>(word, planes);
}

void OwnerTable::inline_any_owners(std::uint64_t word, std::span<std::uint64_t> words) const {
  expand<false>(word, words);
}

template <bool kTiered>
bool OwnerTable::read(const Probe& probe, std::span<std::uint64_t> words) const {
  const std::size_t plane = plane_words();
  while (true) {
    std::ranges::fill(words, 0);
    const std::uint64_t word = look(probe);
    if (word == 0) {
      return false;
    }
    if (!is_set(word)) {
      expand<kTiered>(word, words);
      return true;
    }
    const OwnerSets::Word* const set = sets_.at(set_of(word));
    for (std::size_t tier = 0, i = 0; tier < tiers(); ++tier) {
      for (std::size_t j = 0; j < plane; ++j, ++i) {
        words[kTiered ? i : j] |= set[i].load(std::memory_order_acquire);
      }
    }
    // A set may have been given back and taken for another block meanwhile; its words are written after the
    // entry has changed, so an unchanged entry vouches for them.
    if (look(probe) == word) {
      return true;
    }
  }
}

bool OwnerTable::owners(const Probe& probe, std::span<std::uint64_t> planes) const {
  return read<true>(probe, planes);
}

bool OwnerTable::any_owners(const Probe& probe, std::span<std::uint64_t> words) const {
  return read<false>(probe, words);
}

OwnerEntry* OwnerTable::entry_of(Shard& shard, std::uint64_t key, std::uint64_t mixed_hash) {
  OwnerSlots& slots = *shard.slots.load(std::memory_order_relaxed);
  for (std::size_t place = slots.home(mixed_hash);; place = slots.after(place)) {
    const std::uint64_t found = slots.entries[place].hash.load(std::memory_order_relaxed);
    if (found == key) {
      return &slots.entries[place];
    }
    if (found == kEmpty) {
      return nullptr;
    }
  }
}

void OwnerTable::insert_new(Shard& shard, std::uint64_t key, std::uint64_t mixed_hash,
                            std::uint64_t owners_word) {
  make_room(shard);
  OwnerSlots& slots = *shard.slots.load(std::memory_order_relaxed);
  std::size_t place = slots.home(mixed_hash);
  std::uint64_t found = slots.entries[place].hash.load(std::memory_order_relaxed);
  while (found > kRemoved) {
    place = slots.after(place);
    found = slots.entries[place].hash.load(std::memory_order_relaxed);
  }
  shard.marks -= found == kRemoved ? 1 : 0;
  shard.used += found == kEmpty ? 1 : 0;
  slots.entries[place].owners.store(owners_word, std::memory_order_release);
  slots.entries[place].hash.store(key, std::memory_order_release);
  blocks_.fetch_add(1, std::memory_order_relaxed);
}

void OwnerTable::erase(Shard& shard, OwnerEntry& entry) {
  OwnerSlots& slots = *shard.slots.load(std::memory_order_relaxed);
  entry.hash.store(kRemoved, std::memory_order_release);
  ++shard.marks;
  blocks_.fetch_sub(1, std::memory_order_relaxed);
  auto place = static_cast<std::size_t>(&entry - slots.entries);
  // Marks at the end of a probe run have nothing behind them: they become free places again.
  if (slots.entries[slots.after(place)].hash.load(std::memory_order_relaxed) != kEmpty) {
    return;
  }
  while (slots.entries[place].hash.load(std::memory_order_relaxed) == kRemoved) {
    slots.entries[place].hash.store(kEmpty, std::memory_order_release);
    --shard.marks;
    --shard.used;
    place = slots.before(place);
  }
}

// Keeps a quarter of the places free; replaces the array when it is fuller, by a larger one if that is not
// the marks' fault.
void OwnerTable::make_room(Shard& shard) {
  OwnerSlots* const old = shard.slots.load(std::memory_order_relaxed);
  if ((shard.used + 1) * 4 <= old->size * 3) {
    epoch_.collect();
    return;
  }
  const std::size_t live = shard.used - shard.marks;
  const std::size_t size = live * 2 > old->size ? old->size + old->size / 2 : old->size;
  auto* const next = new OwnerSlots(size, with_runs_);
  for (std::size_t i = 0; i < old->size; ++i) {
    const std::uint64_t key = old->entries[i].hash.load(std::memory_order_relaxed);
    if (key <= kRemoved) {
      continue;
    }
    std::size_t place = next->home(mixed(key, secret_));
    while (next->entries[place].hash.load(std::memory_order_relaxed) != kEmpty) {
      place = next->after(place);
    }
    next->entries[place].hash.store(key, std::memory_order_relaxed);
    next->entries[place].owners.store(old->entries[i].owners.load(std::memory_order_relaxed),
                                      std::memory_order_relaxed);
    if (with_runs_) {
      next->runs[place].store(old->runs[i].load(std::memory_order_relaxed), std::memory_order_relaxed);
    }
  }
  shard.used = live;
  shard.marks = 0;
  slot_bytes_ += next->bytes();
  slot_bytes_ -= old->bytes();
  shard.slots.store(next, std::memory_order_release);
  epoch_.retire([old] { delete old; });
}

OwnerTable::Change OwnerTable::add_inline(OwnerEntry& entry, std::uint64_t word, Owner new_owner) {
  const std::uint16_t packed = pack(new_owner.slot, new_owner.tier);
  bool same_endpoint = false;
  int place = 0;
  for (; place < kInlineOwners && owner(word, place) != kNobody; ++place) {
    if (owner(word, place) == packed) {
      return Change::None;
    }
    same_endpoint = same_endpoint || slot_of(owner(word, place)) == new_owner.slot;
  }
  const Change change = same_endpoint ? Change::Tier : Change::FirstOfEndpoint;
  if (place < kInlineOwners) {
    entry.owners.store(with_owner(word, place, packed), std::memory_order_release);
    return change;
  }
  const auto set = sets_.take();
  if (!set) {
    return Change::Refused;
  }
  const auto put = [&](std::uint16_t slot, std::uint8_t tier) {
    OwnerSets::Word& bits = sets_.word(*set, tier, slot);
    bits.store(bits.load(std::memory_order_relaxed) | 1ULL << (slot % 64), std::memory_order_release);
  };
  for (int i = 0; i < kInlineOwners; ++i) {
    put(slot_of(owner(word, i)), tier_of(owner(word, i)));
  }
  put(new_owner.slot, new_owner.tier);
  entry.owners.store(kSet | (word & kCheckMask) | *set, std::memory_order_release);
  return change;
}

OwnerTable::Change OwnerTable::add(BlockHash hash, Owner new_owner) {
  const std::uint64_t key = key_of(hash);
  const std::uint64_t where = mixed(key, secret_);
  Shard& shard = shards_[where % kShards];
  OwnerEntry* const entry = entry_of(shard, key, where);
  if (entry == nullptr) {
    insert_new(shard, key, where, single(check_bits(where), pack(new_owner.slot, new_owner.tier)));
    return Change::FirstOfBlock;
  }
  std::uint64_t word = entry->owners.load(std::memory_order_relaxed);
  if ((word & kInRun) != 0) {
    if (is_inline_owner(word, pack(new_owner.slot, new_owner.tier))) {
      return Change::None;
    }
    word = leave_run(shard, *entry);
  }
  if (!is_set(word)) {
    return add_inline(*entry, word, new_owner);
  }
  const std::uint64_t bit = 1ULL << (new_owner.slot % 64);
  bool same_endpoint = false;
  for (std::size_t tier = 0; tier < tiers(); ++tier) {
    const bool held =
        (sets_.word(set_of(word), tier, new_owner.slot).load(std::memory_order_relaxed) & bit) != 0;
    if (held && tier == new_owner.tier) {
      return Change::None;
    }
    same_endpoint = same_endpoint || held;
  }
  sets_.word(set_of(word), new_owner.tier, new_owner.slot).fetch_or(bit, std::memory_order_release);
  return same_endpoint ? Change::Tier : Change::FirstOfEndpoint;
}

OwnerTable::Change OwnerTable::remove(BlockHash hash, Owner old_owner) {
  const std::uint64_t key = key_of(hash);
  const std::uint64_t where = mixed(key, secret_);
  Shard& shard = shards_[where % kShards];
  OwnerEntry* const entry = entry_of(shard, key, where);
  if (entry == nullptr) {
    return Change::None;
  }
  std::uint64_t word = entry->owners.load(std::memory_order_relaxed);
  if ((word & kInRun) != 0) {
    if (!is_inline_owner(word, pack(old_owner.slot, old_owner.tier))) {
      return Change::None;
    }
    word = leave_run(shard, *entry);
  }
  if (is_set(word)) {
    return remove_from_set(shard, *entry, word, old_owner);
  }
  return remove_inline(shard, *entry, word, old_owner);
}

OwnerTable::Change OwnerTable::remove_inline(Shard& shard, OwnerEntry& entry, std::uint64_t word,
                                             Owner old_owner) {
  const std::uint16_t packed = pack(old_owner.slot, old_owner.tier);
  std::uint64_t rest = (word & kHeadMask) | 0xffff'ffff'ffffULL;
  int kept = 0;
  bool removed = false;
  bool same_endpoint = false;
  for (int i = 0; i < kInlineOwners; ++i) {
    const std::uint16_t one = owner(word, i);
    if (one == packed) {
      removed = true;
    } else if (one != kNobody) {
      same_endpoint = same_endpoint || slot_of(one) == old_owner.slot;
      rest = with_owner(rest, kept++, one);
    }
  }
  if (!removed) {
    return Change::None;
  }
  if (kept == 0) {
    erase(shard, entry);
    return Change::LastOfBlock;
  }
  entry.owners.store(rest, std::memory_order_release);
  return same_endpoint ? Change::Tier : Change::LastOfEndpoint;
}

OwnerTable::Change OwnerTable::remove_from_set(Shard& shard, OwnerEntry& entry, std::uint64_t word,
                                               Owner old_owner) {
  const std::uint32_t set = set_of(word);
  const std::uint64_t bit = 1ULL << (old_owner.slot % 64);
  OwnerSets::Word& bits = sets_.word(set, old_owner.tier, old_owner.slot);
  if ((bits.load(std::memory_order_relaxed) & bit) == 0) {
    return Change::None;
  }
  bits.fetch_and(~bit, std::memory_order_release);
  bool same_endpoint = false;
  int left = 0;
  for (std::size_t i = 0; i < sets_.words(); ++i) {
    left += std::popcount(sets_.at(set)[i].load(std::memory_order_relaxed));
  }
  for (std::size_t tier = 0; tier < tiers(); ++tier) {
    same_endpoint =
        same_endpoint || (sets_.word(set, tier, old_owner.slot).load(std::memory_order_relaxed) & bit) != 0;
  }
  // Two, not three: a block that keeps changing between three and four owners stays a set.
  if (left > 2) {
    return same_endpoint ? Change::Tier : Change::LastOfEndpoint;
  }
  if (left == 0) {
    erase(shard, entry);
  } else {
    entry.owners.store(inline_word(word & kCheckMask, set), std::memory_order_release);
  }
  sets_.give_back(set);
  return left == 0 ? Change::LastOfBlock : same_endpoint ? Change::Tier : Change::LastOfEndpoint;
}

// The same few owners as an inline word.
std::uint64_t OwnerTable::inline_word(std::uint64_t check, std::uint32_t set) const {
  std::uint64_t word = kInline | check | 0xffff'ffff'ffffULL;
  int place = 0;
  for (std::size_t i = 0; i < sets_.words(); ++i) {
    std::uint64_t bits = sets_.at(set)[i].load(std::memory_order_relaxed);
    for (; bits != 0; bits &= bits - 1) {
      const auto slot =
          static_cast<std::uint16_t>(i % plane_words() * 64 + static_cast<unsigned>(std::countr_zero(bits)));
      word = with_owner(word, place++, pack(slot, static_cast<std::uint8_t>(i / plane_words())));
    }
  }
  return word;
}

std::size_t OwnerTable::memory_bytes() const {
  return slot_bytes_.load(std::memory_order_relaxed) + sets_.memory_bytes() + runs_.memory_bytes();
}

}  // namespace llmd::kvcache
