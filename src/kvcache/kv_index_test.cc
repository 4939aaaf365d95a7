#include "kvcache/kv_index.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <random>
#include <set>

namespace llmd::kvcache {
namespace {

using std::chrono::seconds;

std::vector<TokenId> tokens_from(TokenId first, std::size_t count) {
  std::vector<TokenId> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

template <typename Event>
EventBatch batch_of(Event event) {
  EventBatch batch;
  batch.events.emplace_back(std::move(event));
  return batch;
}

struct Fixture {
  KvIndex index;
  EndpointHandle endpoint = index.add_endpoint().value();

  explicit Fixture(KvIndex::Options options = {.block_size = 4}) : index(std::move(options)) {}

  template <typename Event>
  void apply(Event event) {
    index.apply(endpoint, "m", batch_of(std::move(event)));
  }
  TierMatch match(const std::vector<TokenId>& tokens, std::string_view model = "m",
                  std::span<const BlockExtras> extras = {}) {
    std::vector<BlockHash> chain(64);
    const RequestKeys keys = index.keys(model);
    chain.resize(keys.chain(keys.init(), tokens, index.block_size(), extras, chain));
    std::vector<TierMatch> matches(index.slots());
    index.match(chain, matches);
    return matches[endpoint.slot];
  }
  std::uint32_t blocks(const std::vector<TokenId>& tokens) { return match(tokens).blocks; }
};

BlockStored stored(std::vector<EngineHash> hashes, EngineHash parent, TokenId first_token) {
  const std::size_t count = hashes.size() * 4;
  return {.hashes = std::move(hashes),
          .parent = parent,
          .tokens = tokens_from(first_token, count),
          .block_size = 4};
}

TEST(KvIndexTest, BlocksMatchRequestsWhateverTheEngineCallsThem) {
  Fixture f;
  f.apply(stored({901, 902}, 0, 1));
  f.apply(stored({903}, 902, 9));
  EXPECT_EQ(f.blocks(tokens_from(1, 16)), 3U);
  EXPECT_EQ(f.blocks(tokens_from(1, 11)), 2U);
  EXPECT_EQ(f.blocks(tokens_from(2, 16)), 0U);
  EXPECT_EQ(f.match(tokens_from(1, 12), "another-model").blocks, 0U);
  f.apply(BlockRemoved{.hashes = {902}});
  EXPECT_EQ(f.blocks(tokens_from(1, 12)), 1U);
  f.apply(stored({902}, 901, 5));
  EXPECT_EQ(f.blocks(tokens_from(1, 12)), 3U) << "the third block was there all the time";
}

TEST(KvIndexTest, ABlockWithoutAKnownParentCannotBePlaced) {
  Fixture f;
  f.apply(stored({2}, 1, 5));
  f.apply(stored({3}, 2, 9));
  EXPECT_EQ(f.index.stats().unknown_parents, 2U);
  EXPECT_EQ(f.index.stats().engine_blocks, 0U);
}

TEST(KvIndexTest, OffloadedBlocksCountForTheTierThatHasThem) {
  Fixture f;
  f.apply(stored({1, 2}, 0, 1));
  f.apply(BlockStored{.hashes = {1, 2, 99}, .medium = "CPU"});
  f.apply(BlockRemoved{.hashes = {2}, .medium = "GPU"});
  const TierMatch match = f.match(tokens_from(1, 8));
  EXPECT_EQ(match.blocks, 2U);
  EXPECT_DOUBLE_EQ(f.index.weighted(match), 1.8);
  f.apply(BlockRemoved{.hashes = {1, 2}, .medium = "cpu"});
  EXPECT_EQ(f.blocks(tokens_from(1, 8)), 1U);
}

TEST(KvIndexTest, OnlyTheLastRemovalOfABlockStoredTwiceCounts) {
  Fixture f;
  f.apply(stored({1}, 0, 1));
  f.apply(stored({1}, 0, 1));
  f.apply(BlockRemoved{.hashes = {1}});
  EXPECT_EQ(f.blocks(tokens_from(1, 4)), 1U);
  f.apply(BlockRemoved{.hashes = {1}});
  EXPECT_EQ(f.blocks(tokens_from(1, 4)), 0U);
  f.apply(BlockRemoved{.hashes = {1, 7}});
  EXPECT_EQ(f.index.stats().removed, 1U);
}

TEST(KvIndexTest, AllBlocksClearedMeansEveryTier) {
  Fixture f;
  f.apply(stored({1, 2}, 0, 1));
  f.apply(BlockStored{.hashes = {1}, .medium = "CPU"});
  f.apply(AllBlocksCleared());
  EXPECT_EQ(f.blocks(tokens_from(1, 8)), 0U);
  f.apply(stored({3}, 2, 9));
  EXPECT_EQ(f.index.stats().unknown_parents, 1U) << "the old names are void";
  EXPECT_EQ(f.index.stats().index.entries, 0U);
}

TEST(KvIndexTest, AdaptersMatchRequestsForThem) {
  Fixture f;
  BlockStored event = stored({1}, 0, 1);
  event.lora_name = "sql";
  event.extra_keys = {{"sql"}};
  f.apply(event);
  EXPECT_EQ(f.match(tokens_from(1, 4), "sql").blocks, 1U);
  EXPECT_EQ(f.match(tokens_from(1, 4), "m").blocks, 0U);
}

TEST(KvIndexTest, ImagesAndSaltsArePartOfABlock) {
  Fixture f;
  BlockStored event = stored({1, 2}, 0, 1);
  event.extra_keys = {{"img", "salt"}, {}};
  f.apply(event);
  const std::string_view both[] = {"img", "salt"};
  const BlockExtras extras[] = {both};
  EXPECT_EQ(f.match(tokens_from(1, 8), "m", extras).blocks, 2U);
  EXPECT_EQ(f.match(tokens_from(1, 8)).blocks, 0U);
}

TEST(KvIndexTest, HybridModelsAreIndexedByTheirFullAttentionOnly) {
  Fixture f;
  BlockStored window = stored({1}, 0, 1);
  window.group = 1;
  window.spec_kind = "sliding_window";
  f.apply(window);
  EXPECT_EQ(f.blocks(tokens_from(1, 4)), 0U);
  BlockStored full = stored({1}, 0, 1);
  full.group = 0;
  full.spec_kind = "full_attention";
  f.apply(full);
  EXPECT_EQ(f.blocks(tokens_from(1, 4)), 1U);
  f.apply(BlockRemoved{.hashes = {1}, .group = 1});
  EXPECT_EQ(f.blocks(tokens_from(1, 4)), 1U) << "another group's block";
  BlockStored later = stored({2}, 1, 5);
  later.group = 0;
  f.apply(later);
  EXPECT_EQ(f.blocks(tokens_from(1, 8)), 2U) << "the kind of the group is remembered";
  const auto stats = f.index.stats();
  EXPECT_EQ(stats.skipped_groups, 1U);
  ASSERT_EQ(stats.skipped.size(), 1U);
  EXPECT_EQ(stats.skipped[0].cache_kind, "sliding_window");
  EXPECT_EQ(stats.skipped[0].reason, "unsupported_cache_kind");
  EXPECT_EQ(stats.skipped[0].stores, 1U);
  EXPECT_EQ(stats.skipped[0].removals, 1U);
}

TEST(KvIndexTest, EnginesWithLargerBlocksMatchInSmallerSteps) {
  Fixture f;
  f.apply(BlockStored{.hashes = {1, 2}, .tokens = tokens_from(1, 24), .block_size = 12});
  EXPECT_EQ(f.blocks(tokens_from(1, 24)), 6U);
  f.apply(BlockStored{.hashes = {3}, .parent = 2, .tokens = tokens_from(25, 12), .block_size = 12});
  EXPECT_EQ(f.blocks(tokens_from(1, 36)), 9U);
  f.apply(BlockRemoved{.hashes = {2}});
  EXPECT_EQ(f.blocks(tokens_from(1, 36)), 3U);
  EXPECT_EQ(f.index.engine_block_size(f.endpoint), 12U);
}

TEST(KvIndexTest, EnginesWithSmallerBlocksMatchWhereWholeOnesFill) {
  Fixture f;
  f.apply(BlockStored{.hashes = {1, 2, 3, 4, 5}, .tokens = tokens_from(1, 10), .block_size = 2});
  EXPECT_EQ(f.blocks(tokens_from(1, 12)), 2U);
  EXPECT_EQ(f.index.stats().unaligned, 1U);
}

TEST(KvIndexTest, EventsThatMakeNoSenseAreSkipped) {
  Fixture f;
  f.apply(BlockStored{.hashes = {1, 2}, .tokens = tokens_from(1, 5), .block_size = 4});
  f.apply(BlockStored{.hashes = {1}, .tokens = tokens_from(1, 4), .block_size = 0});
  f.apply(BlockStored{.hashes = {}, .tokens = tokens_from(1, 4), .block_size = 4});
  const auto stats = f.index.stats();
  EXPECT_EQ(stats.sparse, 3U);
  ASSERT_EQ(stats.skipped.size(), 2U);
  EXPECT_EQ(stats.skipped[0].reason, "non_dense_block_span");
  EXPECT_EQ(stats.skipped[1].reason, "invalid_block_size");
  EXPECT_EQ(stats.skipped[1].cache_kind, "unknown");
  EXPECT_EQ(f.blocks(tokens_from(1, 4)), 0U);
}

TEST(KvIndexTest, WhatIsExpectedCountsUntilItsTimeIsOver) {
  Fixture f;
  const TimePoint start{};
  const RequestKeys keys = f.index.keys("m");
  std::vector<BlockHash> chain(3);
  keys.chain(keys.init(), tokens_from(1, 12), 4, {}, chain);
  f.index.expect(f.endpoint, chain, start);
  EXPECT_EQ(f.blocks(tokens_from(1, 12)), 3U);
  f.apply(stored({1}, 0, 1));
  f.index.expect(f.endpoint, std::span(chain).first(2), start + seconds(1));
  f.index.expire(start + seconds(2));
  EXPECT_EQ(f.blocks(tokens_from(1, 12)), 2U) << "the second was expected again";
  f.index.expire(start + seconds(3));
  EXPECT_EQ(f.blocks(tokens_from(1, 12)), 1U) << "the first is real";
  EXPECT_EQ(f.index.stats().speculative, 0U);
}

TEST(KvIndexTest, AnEngineThatNeverRemovesIsBounded) {
  Fixture f({.block_size = 4, .capacity = 10});
  for (TokenId i = 0; i < 25; ++i) {
    f.apply(stored({1000 + i}, 0, 1 + i * 100));
  }
  EXPECT_GE(f.index.stats().overflows, 1U);
  EXPECT_LE(f.index.stats().engine_blocks, 20U);
  EXPECT_LE(f.index.stats().index.entries, 10U);
}

TEST(KvIndexTest, ARemovedEndpointTakesItsBlocksAlong) {
  Fixture f;
  f.apply(stored({1}, 0, 1));
  const EndpointHandle old = f.endpoint;
  f.index.remove_endpoint(old);
  f.endpoint = f.index.add_endpoint().value();
  f.index.apply(old, "m", batch_of(stored({1}, 0, 1)));
  EXPECT_EQ(f.blocks(tokens_from(1, 4)), 0U);
}

// An engine with a cache of its own, that stores and removes at random; the index must know exactly what it
// has.
TEST(KvIndexTest, KnowsWhatARandomEngineHas) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    Fixture f;
    std::map<std::vector<TokenId>, EngineHash> cached;  // prefix -> the engine's name of its last block
    EngineHash next = 1;
    for (int step = 0; step < 400; ++step) {
      std::vector<TokenId> prompt;
      const std::size_t blocks = 1 + random() % 5;
      for (std::size_t i = 0; i < blocks; ++i) {
        prompt.insert(prompt.end(), 4, random() % 3);
      }
      if (random() % 3 == 0 && !cached.empty()) {
        const auto victim = std::next(cached.begin(), static_cast<std::ptrdiff_t>(random() % cached.size()));
        f.apply(BlockRemoved{.hashes = {victim->second}});
        cached.erase(victim);
      }
      EngineHash parent = 0;
      for (std::size_t size = 4; size <= prompt.size(); size += 4) {
        const std::vector<TokenId> prefix(prompt.begin(), prompt.begin() + static_cast<std::ptrdiff_t>(size));
        const auto known = cached.find(prefix);
        if (known == cached.end()) {
          f.apply(BlockStored{.hashes = {next},
                              .parent = parent,
                              .tokens = {prefix.end() - 4, prefix.end()},
                              .block_size = 4});
          cached[prefix] = next++;
        }
        parent = cached[prefix];
        if (random() % 4 == 0) {
          break;
        }
      }
      std::uint32_t expected = 0;
      for (std::size_t size = 4; size <= prompt.size(); size += 4) {
        const std::vector<TokenId> prefix(prompt.begin(), prompt.begin() + static_cast<std::ptrdiff_t>(size));
        if (!cached.contains(prefix)) {
          break;
        }
        ++expected;
      }
      ASSERT_EQ(f.blocks(prompt), expected) << "seed " << seed << ", step " << step;
    }
    EXPECT_EQ(f.index.stats().engine_blocks, cached.size());
  }
}

}  // namespace
}  // namespace llmd::kvcache
