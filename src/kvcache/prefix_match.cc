#include "kvcache/prefix_match.h"

#include <algorithm>
#include <array>
#include <bit>

namespace llmd::kvcache {
namespace {

// Far enough that about as many look-ups are in flight as a core can have outstanding cache misses.
constexpr std::size_t kAhead = 32;
constexpr std::size_t kMaxWords = kMaxEndpoints / 64;
constexpr std::uint32_t kNoBlock = 0xffffffff;

using Plane = std::array<std::uint64_t, kMaxWords>;

// Slots beyond the caller's span belong to endpoints that came after it was made.
template <typename Visit>
void for_each_bit(std::span<const std::uint64_t> words, Visit visit) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    for (std::uint64_t bits = words[i]; bits != 0; bits &= bits - 1) {
      visit(i * 64 + static_cast<std::size_t>(std::countr_zero(bits)));
    }
  }
}

// An endpoint whose prefix has at least blocks[slot] and at most `most` blocks.
struct Search {
  std::uint32_t most;
  std::uint16_t slot;
};

// The block whose presence is asked next. The first question is for the whole chain: a conversation's
// endpoint answers it with yes.
std::uint32_t question(const Search& search, std::uint32_t least, bool first_round) {
  return first_round ? search.most : least + (search.most - least + 1) / 2;
}

// Goes through a chain, run by run where the table knows runs, with what comes next on its way from memory.
class Walk {
 public:
  // Neighbours in the chain with the same owners.
  struct Step {
    OwnerTable::Probe probe;  // of the first
    std::uint64_t word;       // of each; of a set: there is only one
    std::uint32_t blocks;
  };

  Walk(const OwnerTable& table, std::span<const BlockHash> chain) : table_(table), chain_(chain) {}
  bool is_over() const { return at_ == chain_.size(); }
  Step next() {
    const OwnerTable::Probe probe = this->probe();
    const OwnerTable::Found found = OwnerTable::find(probe);
    const std::uint32_t blocks = table_.alike(probe, found, chain_.subspan(at_));
    at_ += blocks;
    if (blocks > 1) {
      alone_ = 0;
      fetch_runs(blocks);
    } else {
      ++alone_;
    }
    return {probe, found.word, blocks};
  }

 private:
  // Of the next block. Those behind it are fetched as well where blocks come one by one.
  OwnerTable::Probe probe() {
    probed_ = std::max(probed_, at_);
    const std::size_t end = std::min(chain_.size(), at_ + (alone_ >= kAloneAtFirst ? kAhead : 1));
    for (; probed_ < end; ++probed_) {
      probes_[probed_ % kAhead] = table_.probe(chain_[probed_]);
    }
    return probes_[at_ % kAhead];
  }
  // Runs mostly follow runs of the same length.
  void fetch_runs(std::uint32_t blocks) {
    fetched_ = std::max(fetched_, at_);
    for (; fetched_ <= at_ + kRunsAhead * blocks && fetched_ < chain_.size(); fetched_ += blocks) {
      table_.prefetch(chain_[fetched_]);
    }
  }

  static constexpr std::size_t kAloneAtFirst = 2;
  static constexpr std::size_t kRunsAhead = 8;
  const OwnerTable& table_;
  std::span<const BlockHash> chain_;
  std::size_t at_ = 0;
  std::size_t probed_ = 0;   // blocks before it have their probes in probes_
  std::size_t fetched_ = 0;  // beginnings of runs before it are on their way
  std::size_t alone_ = 0;    // blocks since the last run
  std::array<OwnerTable::Probe, kAhead> probes_;
};

}  // namespace

void match_closed(const OwnerTable& table, std::span<const BlockHash> chain,
                  std::span<std::uint32_t> blocks) {
  std::ranges::fill(blocks, 0);
  if (chain.empty()) {
    return;
  }
  Plane plane;
  const std::span<std::uint64_t> holders(plane.data(), table.plane_words());
  if (!table.any_owners(table.probe(chain[0]), holders)) {
    return;
  }
  std::array<Search, kMaxEndpoints> open;
  std::size_t count = 0;
  for_each_bit(holders, [&](std::size_t slot) {
    if (slot < blocks.size()) {
      blocks[slot] = 1;
      open[count++] = {static_cast<std::uint32_t>(chain.size()), static_cast<std::uint16_t>(slot)};
    }
  });
  for (bool first_round = true; count > 0; first_round = false) {
    const auto for_each_question = [&](auto visit) {
      std::uint32_t asked = kNoBlock;
      for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t block = question(open[i], blocks[open[i].slot], first_round);
        if (block != asked) {
          visit(table.probe(chain[block - 1]));
          asked = block;
        }
      }
    };
    for_each_question([](const OwnerTable::Probe&) {});  // making a probe starts to fetch
    for_each_question([&](const OwnerTable::Probe& probe) { table.prefetch_owners(probe); });
    std::uint32_t asked = kNoBlock;
    std::size_t left = 0;
    for (std::size_t i = 0; i < count; ++i) {
      Search search = open[i];
      const std::uint32_t block = question(search, blocks[search.slot], first_round);
      if (block != asked) {
        table.any_owners(table.probe(chain[block - 1]), holders);
        asked = block;
      }
      if ((holders[search.slot / 64] >> (search.slot % 64) & 1) != 0) {
        blocks[search.slot] = block;
      } else {
        search.most = block - 1;
      }
      if (blocks[search.slot] < search.most) {
        open[left++] = search;
      }
    }
    count = left;
  }
}

void match_walking(const OwnerTable& table, std::span<const BlockHash> chain,
                   std::span<std::uint32_t> blocks) {
  std::ranges::fill(blocks, 0);
  const std::size_t words = table.plane_words();
  Plane active;
  active.fill(~std::uint64_t{0});
  Plane plane;
  const std::span<std::uint64_t> holders(plane.data(), words);
  Walk walk(table, chain);
  std::uint64_t previous = owner_word::kSet;  // like no inline word
  std::uint32_t length = 0;
  for (std::uint32_t passed = 0; !walk.is_over(); length += passed) {
    const Walk::Step step = walk.next();
    passed = step.blocks;
    // Neighbouring blocks mostly have the same owners; then nobody is lost.
    if (owner_word::same_owners(step.word, previous)) {
      continue;
    }
    previous = step.word;
    // A word that is no set is taken as it was found: it stands for all blocks of a run.
    if (owner_word::is_set(step.word)) {
      table.any_owners(step.probe, holders);
    } else if (step.word != 0) {
      table.inline_any_owners(step.word, holders);
    } else {
      std::ranges::fill(holders, 0);
    }
    bool anybody = false;
    for (std::size_t i = 0; i < words; ++i) {
      const std::uint64_t lost = active[i] & ~holders[i];
      if (lost != 0 && length > 0) {
        for_each_bit(std::span(&lost, 1), [&](std::size_t bit) {
          if (i * 64 + bit < blocks.size()) {
            blocks[i * 64 + bit] = length;
          }
        });
      }
      active[i] &= holders[i];
      anybody = anybody || active[i] != 0;
    }
    if (!anybody) {
      return;
    }
  }
  if (length > 0) {
    for_each_bit(std::span(active).first(words), [&](std::size_t slot) {
      if (slot < blocks.size()) {
        blocks[slot] = length;
      }
    });
  }
}

void match_by_tier(const OwnerTable& table, std::span<const BlockHash> chain, std::span<TierMatch> matches) {
  std::ranges::fill(matches, TierMatch());
  const std::size_t words = table.plane_words();
  const std::size_t tiers = table.tiers();
  Plane active;
  active.fill(~std::uint64_t{0});
  std::array<std::uint64_t, kMaxWords * kMaxTiers> planes;
  std::array<std::uint64_t, kMaxWords * kMaxTiers>
      run{};  // who held the blocks of the current run, by best tier
  const std::span<std::uint64_t> holders(planes.data(), words * tiers);
  const std::span<std::uint64_t> counted(run.data(), words * tiers);
  std::uint32_t run_length = 0;
  const auto count_run = [&] {
    for (std::size_t tier = 0; tier < tiers && run_length > 0; ++tier) {
      for_each_bit(counted.subspan(tier * words, words), [&](std::size_t slot) {
        if (slot < matches.size()) {
          matches[slot].blocks += run_length;
          matches[slot].by_tier[tier] += run_length;
        }
      });
    }
  };
  Walk walk(table, chain);
  std::uint64_t previous = owner_word::kSet;  // like no inline word
  while (!walk.is_over()) {
    const Walk::Step step = walk.next();
    // Neighbouring blocks mostly have the same owners: they are counted together.
    if (owner_word::same_owners(step.word, previous)) {
      run_length += step.blocks;
      continue;
    }
    previous = step.word;
    if (owner_word::is_set(step.word)) {
      table.owners(step.probe, holders);
    } else if (step.word != 0) {
      table.inline_owners(step.word, holders);
    } else {
      std::ranges::fill(holders, 0);
    }
    std::uint64_t anybody = 0;
    for (std::size_t i = 0; i < words; ++i) {
      std::uint64_t in_better = 0;
      for (std::size_t tier = 0; tier < tiers; ++tier) {
        const std::uint64_t here = holders[tier * words + i] & active[i];
        holders[tier * words + i] = here & ~in_better;
        in_better |= here;
      }
      active[i] = in_better;
      anybody |= in_better;
    }
    if (!std::ranges::equal(holders, counted)) {
      count_run();
      std::ranges::copy(holders, counted.begin());
      run_length = 0;
    }
    run_length += step.blocks;
    if (anybody == 0) {
      return;
    }
  }
  count_run();
}

}  // namespace llmd::kvcache
