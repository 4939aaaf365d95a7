#include "kvcache/chain_runs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <random>
#include <vector>

namespace llmd::kvcache {
namespace {

using Chain = std::vector<BlockHash>;

// A walk through a tree whose edges are up to forty blocks long, so that prompts part inside runs, at their
// ends and on both sides of a chunk's border.
Chain random_prompt(std::mt19937& random) {
  Chain chain;
  BlockHash node = 1;
  for (std::size_t edges = 1 + random() % 4; edges > 0; --edges) {
    node = node * 3 + random() % 3;
    const std::size_t length = 1 + (node * 7) % 40;
    for (std::size_t i = 0; i < length; ++i) {
      chain.push_back(node << 16 | (i + 1));
    }
  }
  chain.resize(1 + random() % chain.size());
  return chain;
}

// The same in the plainest way: blocks in the order of their last use.
class PlainBlocks {
 public:
  std::size_t held(const Chain& chain) const {
    const auto missing = std::ranges::find_if(
        chain, [&](BlockHash block) { return std::ranges::find(order_, block) == order_.end(); });
    return static_cast<std::size_t>(missing - chain.begin());
  }
  void insert(const Chain& chain, std::size_t capacity) {
    for (auto block = chain.rbegin(); block != chain.rend(); ++block) {
      order_.remove(*block);
      order_.push_front(*block);
    }
    while (order_.size() > capacity) {
      order_.pop_back();
    }
  }
  Chain sorted() const {
    Chain blocks(order_.begin(), order_.end());
    std::ranges::sort(blocks);
    return blocks;
  }

 private:
  std::list<BlockHash> order_;
};

Chain sorted(const ChainRuns& runs) {
  Chain blocks;
  runs.for_each([&](BlockHash hash) { blocks.push_back(hash); });
  std::ranges::sort(blocks);
  return blocks;
}

std::size_t insert(ChainRuns& runs, std::span<const BlockHash> chain) {
  const std::size_t held = runs.touch(chain);
  if (held < chain.size() && runs.may_extend(chain[held])) {
    runs.extend(chain.subspan(held));
  }
  while (!runs.pop_excess().empty()) {
  }
  return held;
}

TEST(ChainRunsTest, HoldsTheSameBlocksAsAPlainListAfterAnyPrompts) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    const std::size_t capacity = 1 + random() % 400;
    ChainRuns runs(capacity);
    PlainBlocks plain;
    for (int step = 0; step < 500; ++step) {
      Chain chain = random_prompt(random);
      chain.resize(std::min(chain.size(), capacity));
      ASSERT_EQ(insert(runs, chain), plain.held(chain)) << "seed " << seed << ", step " << step;
      plain.insert(chain, capacity);
      ASSERT_EQ(runs.size(), plain.sorted().size());
      ASSERT_EQ(sorted(runs), plain.sorted()) << "seed " << seed << ", step " << step;
    }
  }
}

TEST(ChainRunsTest, BlocksLeaveFromTheEndOfTheLeastRecentPrompt) {
  ChainRuns runs(4);
  insert(runs, Chain{1, 2, 3});
  runs.set_capacity(2);
  const auto gone = runs.pop_excess();
  EXPECT_EQ(Chain(gone.begin(), gone.end()), (Chain{3}));
  EXPECT_TRUE(runs.pop_excess().empty());
}

// Nobody's prompts look like this: two prefixes with one hash, and a block that comes twice.
TEST(ChainRunsTest, ForgedHashesLoseAPredictionAndNothingElse) {
  std::mt19937 random(1);
  ChainRuns runs(60);
  for (int step = 0; step < 20'000; ++step) {
    Chain chain(1 + random() % 40);
    std::ranges::generate(chain, [&] { return random() % 12; });
    const std::size_t held = insert(runs, chain);
    ASSERT_LE(held, chain.size());
    ASSERT_EQ(sorted(runs).size(), runs.size());
    ASSERT_LE(runs.size(), 60U);
  }
}

TEST(ChainRunsTest, PromptsThatComeAndGoNeedNoMoreMemoryThanAtFirst) {
  std::mt19937 random(1);
  ChainRuns runs(2'000);
  const auto insert_some = [&] {
    for (int step = 0; step < 3'000; ++step) {
      Chain chain(1 + random() % 300);
      std::ranges::generate(chain, [&] { return static_cast<BlockHash>(random()) << 32 | random(); });
      insert(runs, chain);
    }
  };
  insert_some();
  const std::size_t memory = runs.memory_bytes();
  insert_some();
  EXPECT_EQ(runs.memory_bytes(), memory);
}

}  // namespace
}  // namespace llmd::kvcache
