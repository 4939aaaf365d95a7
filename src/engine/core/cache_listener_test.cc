// What a listener hears adds up to what the prefix cache holds, whatever comes and goes.

#include "engine/core/cache_listener.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>

#include "engine/core/scheduler.h"

namespace llmd::engine {
namespace {

constexpr int kBlockSize = 4;

// Follows the cache as a router would.
class Follower final : public CacheListener {
 public:
  void on_stored(const StoredBlocks& blocks) override {
    EXPECT_EQ(blocks.tokens.size(), blocks.hashes.size() * kBlockSize);
    EXPECT_TRUE(blocks.parent == nullptr || known_.contains(*blocks.parent)) << "an orphan";
    for (const BlockHash& hash : blocks.hashes) {
      EXPECT_TRUE(known_.insert(hash).second) << "stored twice";
    }
  }
  void on_removed(const BlockHash& block) override { EXPECT_EQ(known_.erase(block), 1U); }
  void on_cleared() override { known_.clear(); }
  void on_step_end() override {}

  int blocks_of(std::span<const BlockHash> chain) const {
    const auto end = std::ranges::find_if(chain, [this](const auto& hash) { return !known_.contains(hash); });
    return static_cast<int>(end - chain.begin());
  }
  bool empty() const { return known_.empty(); }

 private:
  std::set<BlockHash> known_;
};

struct Bench {
  Follower follower;
  BlockManager blocks{24, kBlockSize, true, &follower};
  Scheduler scheduler{{.max_running = 4}, blocks, &follower};
  std::vector<std::unique_ptr<Sequence>> sequences;
  SequenceId last_id = 0;

  Sequence& add(std::vector<Token> tokens) {
    Sequence& sequence = *sequences.emplace_back(std::make_unique<Sequence>());
    sequence.id = ++last_id;
    sequence.prompt_length = static_cast<int>(tokens.size());
    sequence.tokens = std::move(tokens);
    EXPECT_TRUE(scheduler.add(sequence));
    return sequence;
  }
  void step(int budget) {
    const Plan plan = scheduler.schedule(budget);
    scheduler.complete(plan);
    for (const Chunk& chunk : plan.chunks) {
      if (chunk.samples) {
        scheduler.append(*chunk.sequence, static_cast<Token>(chunk.sequence->id));
      }
    }
  }
  void finish(std::size_t index) {
    scheduler.remove(*sequences[index]);
    sequences.erase(sequences.begin() + static_cast<std::ptrdiff_t>(index));
  }
};

// Prompts of a family begin alike.
std::vector<Token> prompt(int family, int length) {
  std::vector<Token> tokens;
  for (int i = 0; i < length; ++i) {
    tokens.push_back(i < 12 ? family : family * 100 + i);
  }
  return tokens;
}

TEST(CacheListener, KnowsOfEveryPromptExactlyTheBlocksThatAHitWouldFind) {
  Bench bench;
  std::mt19937 random(7);
  const auto draw = [&random](int below) {
    return static_cast<int>(random() % static_cast<unsigned>(below));
  };
  std::vector<std::vector<Token>> prompts;
  for (int round = 0; round < 2000; ++round) {
    if (bench.sequences.size() < 8 && draw(3) == 0) {
      prompts.push_back(prompt(1 + draw(5), 4 + draw(30)));
      bench.add(prompts.back());
    }
    bench.step(1 + draw(40));
    if (!bench.sequences.empty() && draw(4) == 0) {
      bench.finish(static_cast<std::size_t>(draw(static_cast<int>(bench.sequences.size()))));
    }
    ASSERT_TRUE(bench.blocks.is_consistent());
    if (prompts.empty()) {
      continue;
    }
    const auto& tokens = prompts[static_cast<std::size_t>(draw(static_cast<int>(prompts.size())))];
    std::vector<BlockHash> chain;
    for (std::size_t i = 0; i + kBlockSize <= tokens.size(); i += kBlockSize) {
      chain.push_back(
          next_hash(chain.empty() ? BlockHash{} : chain.back(), std::span(tokens).subspan(i, kBlockSize)));
    }
    ASSERT_EQ(bench.follower.blocks_of(chain), bench.blocks.find_prefix(chain, tokens).blocks) << round;
  }
}

TEST(CacheListener, HearsOfAResetOnce) {
  Bench bench;
  bench.add(prompt(1, 20));
  bench.step(100);
  EXPECT_FALSE(bench.blocks.reset_cache());
  EXPECT_FALSE(bench.follower.empty());
  bench.finish(0);
  EXPECT_TRUE(bench.blocks.reset_cache());
  EXPECT_TRUE(bench.follower.empty());
}

}  // namespace
}  // namespace llmd::engine
