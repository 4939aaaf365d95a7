// Engines tell of the blocks they generate one at a time, each with the one before it as its parent. That
// must come to the same as if all had come in one event.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <vector>

#include "kvcache/kv_index.h"

namespace llmd::kvcache {
namespace {

constexpr std::uint32_t kBlockTokens = 4;

// A prompt as an engine knows it: tokens and its own names of the blocks.
struct Prompt {
  std::vector<TokenId> tokens;
  std::vector<EngineHash> names;

  std::size_t blocks() const { return names.size(); }
  void add_block(TokenId token) {
    const EngineHash before = names.empty() ? 1 : names.back();
    names.push_back(before * 0x9e3779b97f4a7c15ULL + token + 1);
    tokens.insert(tokens.end(), kBlockTokens, token);
  }
};

// A walk through a tree that rarely branches, so that prompts share beginnings and part anywhere in a run.
Prompt random_prompt(std::mt19937& random, std::size_t most) {
  Prompt prompt;
  for (std::size_t left = 1 + random() % most; left > 0; --left) {
    prompt.add_block(random() % 48 == 0 ? 2 : 1);
  }
  return prompt;
}

BlockStored stored(const Prompt& prompt, std::size_t begin, std::size_t end, std::string medium) {
  const auto piece = [](const auto& all, std::size_t from, std::size_t to) {
    return std::vector(all.begin() + static_cast<std::ptrdiff_t>(from),
                       all.begin() + static_cast<std::ptrdiff_t>(to));
  };
  return {.hashes = piece(prompt.names, begin, end),
          .parent = begin == 0 ? 0 : prompt.names[begin - 1],
          .tokens = piece(prompt.tokens, begin * kBlockTokens, end * kBlockTokens),
          .block_size = kBlockTokens,
          .medium = std::move(medium)};
}

// Engines, and the index that hears of their blocks in pieces of up to `most_together`.
class Listener {
 public:
  Listener(std::size_t engines, std::size_t most_together) : most_together_(most_together) {
    for (std::size_t i = 0; i < engines; ++i) {
      engines_.push_back(index_.add_endpoint().value());
    }
  }
  void store(std::size_t engine, const Prompt& prompt, std::size_t begin, const std::string& medium) {
    while (begin < prompt.blocks()) {
      const std::size_t end = std::min(begin + most_together_, prompt.blocks());
      apply(engine, stored(prompt, begin, end, medium));
      begin = end;
    }
  }
  void remove(std::size_t engine, const Prompt& prompt, std::size_t begin, const std::string& medium) {
    std::vector<EngineHash> names(prompt.names.begin() + static_cast<std::ptrdiff_t>(begin),
                                  prompt.names.end());
    std::ranges::reverse(names);  // an engine gives up the end of a prompt first
    apply(engine, BlockRemoved{.hashes = std::move(names), .medium = medium});
  }
  void clear(std::size_t engine) { index_.clear(engines_[engine]); }
  std::vector<TierMatch> match(const Prompt& prompt) const {
    const RequestKeys keys = index_.keys("m");
    std::vector<BlockHash> chain(prompt.blocks());
    chain.resize(keys.chain(keys.init(), prompt.tokens, kBlockTokens, {}, chain));
    std::vector<TierMatch> matches(index_.slots());
    index_.match(chain, matches);
    return matches;
  }

 private:
  template <typename Event>
  void apply(std::size_t engine, Event event) {
    EventBatch batch;
    batch.events.emplace_back(std::move(event));
    index_.apply(engines_[engine], "m", batch);
  }
  const std::size_t most_together_;
  KvIndex index_{{.block_size = kBlockTokens}};
  std::vector<EndpointHandle> engines_;
};

TEST(KvIndexSingleBlocksTest, AreMatchedToTheLastOne) {
  Listener index(1, 1);
  Prompt prompt;
  for (TokenId i = 0; i < 200; ++i) {
    prompt.add_block(i);
    index.store(0, prompt, prompt.blocks() - 1, "gpu");
    ASSERT_EQ(index.match(prompt)[0].blocks, i + 1);
  }
}

TEST(KvIndexSingleBlocksTest, AnAnswerThatPartsFromAnotherInTheMiddleIsMatchedUpToThere) {
  Listener index(2, 1);
  Prompt shared;
  for (TokenId i = 0; i < 30; ++i) {
    shared.add_block(i);
  }
  Prompt one = shared;
  Prompt other = shared;
  for (TokenId i = 0; i < 50; ++i) {
    one.add_block(100 + i);
    other.add_block(200 + i);
  }
  index.store(0, one, 0, "gpu");
  EXPECT_EQ(index.match(other)[0].blocks, 30U);
  index.store(0, other, 30, "gpu");
  index.store(1, one, 0, "gpu");
  EXPECT_EQ(index.match(one)[0].blocks, 80U);
  EXPECT_EQ(index.match(other)[0].blocks, 80U);
  EXPECT_EQ(index.match(one)[1].blocks, 80U);
  EXPECT_EQ(index.match(other)[1].blocks, 30U);
  index.remove(0, one, 60, "gpu");
  EXPECT_EQ(index.match(one)[0].blocks, 60U);
  EXPECT_EQ(index.match(one)[1].blocks, 80U);
  EXPECT_EQ(index.match(other)[0].blocks, 80U);
}

TEST(KvIndexSingleBlocksTest, ComeToTheSameAsAllInOneEventAfterAnyChanges) {
  for (unsigned seed = 1; seed <= 8; ++seed) {
    std::mt19937 random(seed);
    const std::size_t engines = 1 + random() % 5;  // up to three owners stand in an entry, more in a set
    std::deque<Listener> listeners;
    for (const std::size_t together : {std::size_t{1}, std::size_t{3}, std::size_t{100'000}}) {
      listeners.emplace_back(engines, together);
    }
    const auto each = [&](auto change) { std::ranges::for_each(listeners, change); };
    for (int step = 0; step < 200; ++step) {
      const Prompt prompt = random_prompt(random, 250);
      const std::size_t engine = random() % engines;
      const std::string medium = random() % 5 == 0 ? "cpu" : "gpu";
      const std::size_t begin = random() % 2 == 0 ? 0 : random() % prompt.blocks();
      switch (random() % 8) {
        case 0:
          each([&](Listener& index) { index.remove(engine, prompt, begin, medium); });
          break;
        case 1:
          if (step % 16 == 0) {
            each([&](Listener& index) { index.clear(engine); });
          }
          break;
        default:
          each([&](Listener& index) { index.store(engine, prompt, 0, medium); });
      }
      const Prompt asked = random_prompt(random, 300);
      const std::vector<TierMatch> expected = listeners.back().match(asked);
      for (const Listener& index : listeners) {
        ASSERT_EQ(index.match(asked), expected) << "seed " << seed << ", step " << step;
      }
    }
  }
}

}  // namespace
}  // namespace llmd::kvcache
