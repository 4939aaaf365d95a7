#include "engine/core/block_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace llmd::engine {
namespace {

using ::testing::ElementsAre;

struct Prompt {
  std::vector<Token> tokens;
  std::vector<BlockHash> chain;
};

Prompt prompt_of(std::vector<Token> tokens, int block_size, std::string_view adapter = "",
                 std::string_view salt = "") {
  Prompt prompt{std::move(tokens), {}};
  BlockHash parent = root_hash(7, adapter, salt);
  const auto size = static_cast<std::size_t>(block_size);
  for (std::size_t i = 0; (i + 1) * size <= prompt.tokens.size(); ++i) {
    parent = next_hash(parent, std::span(prompt.tokens).subspan(i * size, size));
    prompt.chain.push_back(parent);
  }
  return prompt;
}

// Allocates, computes and remembers all full blocks.
std::vector<int> fill(BlockManager& blocks, const Prompt& prompt) {
  std::vector<int> table;
  EXPECT_TRUE(blocks.grow(table, static_cast<int>(prompt.tokens.size())));
  for (std::size_t i = 0; i < prompt.chain.size(); ++i) {
    const auto size = static_cast<std::size_t>(blocks.block_size());
    blocks.remember(table[i], prompt.chain[i], std::span(prompt.tokens).subspan(i * size, size));
  }
  return table;
}

int hits(const BlockManager& blocks, const Prompt& prompt) {
  return blocks.find_prefix(prompt.chain, prompt.tokens).blocks;
}

TEST(BlockManager, GivesWhatIsAskedForOrNothing) {
  BlockManager blocks(4, 2, true);
  std::vector<int> table;
  EXPECT_TRUE(blocks.grow(table, 5));
  EXPECT_EQ(table.size(), 3U);
  std::vector<int> other;
  EXPECT_FALSE(blocks.grow(other, 3));
  EXPECT_TRUE(other.empty());
  EXPECT_EQ(blocks.free_blocks(), 1);
  blocks.release(table);
  EXPECT_EQ(blocks.free_blocks(), 4);
}

TEST(BlockManager, FindsTheLongestKnownBeginning) {
  BlockManager blocks(8, 2, true);
  const Prompt first = prompt_of({1, 2, 3, 4, 5}, 2);
  std::vector<int> table = fill(blocks, first);
  EXPECT_EQ(hits(blocks, prompt_of({1, 2, 3, 4, 9, 9}, 2)), 2);
  EXPECT_EQ(hits(blocks, prompt_of({1, 2, 9, 9}, 2)), 1);
  EXPECT_EQ(hits(blocks, prompt_of({9, 9, 3, 4}, 2)), 0);
}

TEST(BlockManager, KeepsFreedBlocksFindableAndSharesThem) {
  BlockManager blocks(8, 2, true);
  const Prompt prompt = prompt_of({1, 2, 3, 4}, 2);
  std::vector<int> table = fill(blocks, prompt);
  const std::vector<int> original = table;
  blocks.release(table);
  EXPECT_EQ(blocks.free_blocks(), 8);
  std::vector<int> a;
  std::vector<int> b;
  blocks.take_prefix(prompt.chain, 2, a);
  blocks.take_prefix(prompt.chain, 2, b);
  EXPECT_EQ(a, original);
  EXPECT_EQ(b, original);
  EXPECT_EQ(blocks.free_blocks(), 6);
  blocks.release(a);
  EXPECT_EQ(blocks.free_blocks(), 6);
  blocks.release(b);
  EXPECT_EQ(blocks.free_blocks(), 8);
}

TEST(BlockManager, EvictsTheTailOfTheOldestFirst) {
  BlockManager blocks(4, 1, true);
  const Prompt old = prompt_of({1, 2}, 1);
  const Prompt fresh = prompt_of({5, 6}, 1);
  std::vector<int> old_table = fill(blocks, old);
  std::vector<int> fresh_table = fill(blocks, fresh);
  blocks.release(old_table);
  blocks.release(fresh_table);
  std::vector<int> table;
  ASSERT_TRUE(blocks.grow(table, 1));
  EXPECT_EQ(hits(blocks, old), 1);
  EXPECT_EQ(hits(blocks, fresh), 2);
}

TEST(BlockManager, ReusesBlocksWithoutContentBeforeItEvicts) {
  BlockManager blocks(2, 2, true);
  const Prompt prompt = prompt_of({1, 2, 3}, 2);  // one full block, one half
  std::vector<int> table = fill(blocks, prompt);
  blocks.release(table);
  ASSERT_TRUE(blocks.grow(table, 1));
  EXPECT_EQ(hits(blocks, prompt), 1);
}

TEST(BlockManager, KeepsAdaptersAndSaltsApart) {
  BlockManager blocks(8, 2, true);
  std::vector<int> table = fill(blocks, prompt_of({1, 2}, 2, "lora", "salt"));
  EXPECT_EQ(hits(blocks, prompt_of({1, 2}, 2, "lora", "salt")), 1);
  EXPECT_EQ(hits(blocks, prompt_of({1, 2}, 2, "lora", "")), 0);
  EXPECT_EQ(hits(blocks, prompt_of({1, 2}, 2, "", "salt")), 0);
}

TEST(BlockManager, DoesNotTrustAHashWhoseTokensDiffer) {
  BlockManager blocks(8, 2, true);
  Prompt prompt = prompt_of({1, 2}, 2);
  std::vector<int> table = fill(blocks, prompt);
  prompt.tokens = {3, 4};  // as after a collision
  EXPECT_EQ(hits(blocks, prompt), 0);
}

TEST(BlockManager, FindsNothingWithoutCaching) {
  BlockManager blocks(8, 2, false);
  const Prompt prompt = prompt_of({1, 2}, 2);
  std::vector<int> table = fill(blocks, prompt);
  EXPECT_EQ(hits(blocks, prompt), 0);
}

TEST(BlockManager, ForgetsAllOnlyWhileNothingIsUsed) {
  BlockManager blocks(8, 2, true);
  const Prompt prompt = prompt_of({1, 2}, 2);
  std::vector<int> table = fill(blocks, prompt);
  EXPECT_FALSE(blocks.reset_cache());
  blocks.release(table);
  EXPECT_TRUE(blocks.reset_cache());
  EXPECT_EQ(hits(blocks, prompt), 0);
}

TEST(BlockManager, LosesNoBlockUnderRandomUse) {
  std::mt19937 random(1);
  const auto up_to = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  BlockManager blocks(40, 2, true);
  std::vector<std::vector<int>> tables;
  for (int round = 0; round < 20000; ++round) {
    if (!tables.empty() && up_to(2) == 0) {
      const auto victim = static_cast<std::size_t>(up_to(static_cast<int>(tables.size())));
      blocks.release(tables[victim]);
      tables.erase(tables.begin() + static_cast<std::ptrdiff_t>(victim));
      continue;
    }
    std::vector<Token> tokens(static_cast<std::size_t>(1 + up_to(16)));
    std::ranges::generate(tokens, [&] { return up_to(2); });
    const Prompt prompt = prompt_of(std::move(tokens), 2);
    std::vector<int> table;
    blocks.take_prefix(prompt.chain, hits(blocks, prompt), table);
    if (!blocks.grow(table, static_cast<int>(prompt.tokens.size()))) {
      blocks.release(table);
      continue;
    }
    for (std::size_t i = 0; i < prompt.chain.size(); ++i) {
      blocks.remember(table[i], prompt.chain[i], std::span(prompt.tokens).subspan(i * 2, 2));
    }
    tables.push_back(std::move(table));
    ASSERT_TRUE(blocks.is_consistent()) << "round " << round;
  }
  for (std::vector<int>& table : tables) {
    blocks.release(table);
  }
  EXPECT_EQ(blocks.free_blocks(), 40);
  EXPECT_TRUE(blocks.is_consistent());
}

}  // namespace
}  // namespace llmd::engine
