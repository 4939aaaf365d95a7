// How an OwnerTable makes, uses and breaks runs.
#include "kvcache/owner_runs.h"

#include <algorithm>

#include "kvcache/owner_table.h"

namespace llmd::kvcache {

using namespace owner_word;

std::uint32_t OwnerTable::alike(const Probe& probe, const Found& found,
                                std::span<const BlockHash> rest) const {
  if ((found.word & kInRun) == 0) {
    return 1;
  }
  const std::uint32_t number = probe.slots->runs[found.place].load(std::memory_order_acquire);
  if (number == 0) {
    return 1;  // it has just left its run
  }
  const OwnerRuns::Run run = runs_.read(number);
  const bool begins_here = run.first == probe.key && run.blocks > 0 && same_owners(run.owners, found.word);
  const bool is_shared = begins_here && run.blocks <= rest.size() && key_of(rest[run.blocks - 1]) == run.last;
  return is_shared ? run.blocks : 1;
}

std::atomic<std::uint32_t>& OwnerTable::run_of(Shard& shard, const OwnerEntry& entry) {
  const OwnerSlots& slots = *shard.slots.load(std::memory_order_relaxed);
  return slots.runs[&entry - slots.entries];
}

// To be called before the owners of a block in a run change. Returns its word outside of the run.
std::uint64_t OwnerTable::leave_run(Shard& shard, OwnerEntry& entry) {
  std::atomic<std::uint32_t>& run = run_of(shard, entry);
  runs_.leave(run.load(std::memory_order_relaxed));
  run.store(0, std::memory_order_release);
  const std::uint64_t word = entry.owners.load(std::memory_order_relaxed) & ~kInRun;
  entry.owners.store(word, std::memory_order_release);
  return word;
}

bool OwnerTable::is_in_whole_run(Shard& shard, const OwnerEntry& entry, std::uint64_t word) {
  return (word & kInRun) != 0 && runs_.read(run_of(shard, entry).load(std::memory_order_relaxed)).owners != 0;
}

OwnerTable::Member OwnerTable::member(BlockHash hash) {
  const std::uint64_t key = key_of(hash);
  const std::uint64_t where = mixed(key, secret_);
  Shard& shard = shards_[where % kShards];
  OwnerEntry* const entry = entry_of(shard, key, where);
  const std::uint64_t word = entry == nullptr ? 0 : entry->owners.load(std::memory_order_relaxed);
  const bool is_loose = word != 0 && !is_set(word) && !is_in_whole_run(shard, *entry, word);
  return {&shard, entry, word, key, is_loose};
}

void OwnerTable::put_in_run(const Member& member, std::uint32_t number) {
  run_of(*member.shard, *member.entry).store(number, std::memory_order_release);
  member.entry->owners.store(member.word | kInRun, std::memory_order_release);
}

void OwnerTable::make_run(std::span<const Member> members) {
  for (const Member& member : members) {
    if ((member.word & kInRun) != 0) {
      leave_run(*member.shard, *member.entry);  // a broken one
    }
  }
  const std::uint32_t number = runs_.make({.first = members.front().key,
                                           .last = members.back().key,
                                           .owners = members.front().word,
                                           .blocks = static_cast<std::uint32_t>(members.size())});
  if (number == 0) {
    return;  // there are too many; the blocks stand alone
  }
  for (const Member& member : members) {
    put_in_run(member, number);
  }
}

// The run that ends with `behind` takes up what it may of the blocks that follow. Returns how many.
std::size_t OwnerTable::grow_run(BlockHash behind, std::span<const BlockHash> blocks) {
  const Member end = member(behind);
  if (end.word == 0 || is_set(end.word) || end.is_loose) {
    return 0;
  }
  const std::uint32_t number = run_of(*end.shard, *end.entry).load(std::memory_order_relaxed);
  const OwnerRuns::Run run = runs_.read(number);
  if (run.last != end.key) {
    return 0;
  }
  std::size_t count = 0;
  std::uint64_t last = 0;
  for (const BlockHash hash : blocks.first(std::min(blocks.size(), kLongestRun - run.blocks))) {
    const Member next = member(hash);
    if (!next.is_loose || !same_owners(next.word, end.word)) {
      break;
    }
    if ((next.word & kInRun) != 0) {
      leave_run(*next.shard, *next.entry);
    }
    put_in_run(next, number);
    last = next.key;
    ++count;
  }
  if (count > 0) {
    runs_.extend(number, last, static_cast<std::uint32_t>(count));
  }
  return count;
}

void OwnerTable::join(std::span<const BlockHash> blocks, std::optional<BlockHash> behind) {
  if (!with_runs_ || (!behind && blocks.size() < kShortestRun)) {
    return;
  }
  std::array<Member, kLongestRun> members;
  std::size_t count = 0;
  std::size_t shortest = kShortestRun;
  if (behind) {
    const std::size_t grown = grow_run(*behind, blocks);
    blocks = blocks.subspan(grown);
    if (const Member before = member(*behind); grown == 0 && before.is_loose) {
      members[count++] = before;
      shortest = kShortestGrowingRun;
    }
  }
  const auto finish_run = [&] {
    if (count >= shortest) {
      make_run({members.data(), count});
    }
    count = 0;
    shortest = kShortestRun;
  };
  for (const BlockHash hash : blocks) {
    const Member next = member(hash);
    if (count == kLongestRun ||
        (count > 0 && !(next.is_loose && same_owners(next.word, members[count - 1].word)))) {
      finish_run();
    }
    if (next.is_loose) {
      members[count++] = next;
    }
  }
  finish_run();
}

}  // namespace llmd::kvcache
