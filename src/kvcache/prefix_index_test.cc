#include "kvcache/prefix_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <list>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <unordered_set>
#include <vector>

namespace llmd::kvcache {
namespace {

using Chain = std::vector<BlockHash>;

Chain chain_of(std::uint64_t family, std::size_t length) {
  Chain chain;
  for (std::size_t i = 0; i < length; ++i) {
    chain.push_back(family << 32 | (i + 1));
  }
  return chain;
}

std::uint32_t matched(const PrefixIndex& index, EndpointHandle endpoint, const Chain& chain) {
  std::vector<std::uint32_t> blocks(index.slots());
  index.match(chain, blocks);
  return blocks[endpoint.slot];
}

TEST(PrefixIndexTest, FindsHowMuchOfAPromptEachEndpointHas) {
  PrefixIndex index({});
  const auto a = index.add_endpoint(100);
  const auto b = index.add_endpoint(100);
  const auto c = index.add_endpoint(100);
  ASSERT_TRUE(a && b && c);
  const Chain chain = chain_of(1, 10);
  index.insert(*a, chain);
  index.insert(*b, std::span(chain).first(4));
  std::vector<std::uint32_t> blocks(index.slots());
  index.match(chain, blocks);
  EXPECT_EQ(blocks, (std::vector<std::uint32_t>{10, 4, 0}));
  index.match(std::span(chain).first(6), blocks);
  EXPECT_EQ(blocks, (std::vector<std::uint32_t>{6, 4, 0}));
  index.match({}, blocks);
  EXPECT_EQ(blocks, (std::vector<std::uint32_t>{0, 0, 0}));
}

TEST(PrefixIndexTest, TheLeastRecentlyUsedPromptLeavesFirstAndFromItsEnd) {
  PrefixIndex index({});
  const auto endpoint = *index.add_endpoint(12);
  index.insert(endpoint, chain_of(1, 6));
  index.insert(endpoint, chain_of(2, 6));
  EXPECT_EQ(matched(index, endpoint, chain_of(1, 6)), 6U);
  index.insert(endpoint, chain_of(3, 2));
  EXPECT_EQ(matched(index, endpoint, chain_of(1, 6)), 4U);
  index.insert(endpoint, chain_of(1, 4));
  index.insert(endpoint, chain_of(4, 5));
  EXPECT_EQ(matched(index, endpoint, chain_of(1, 6)), 4U) << "used again";
  EXPECT_EQ(matched(index, endpoint, chain_of(2, 6)), 1U);
  EXPECT_EQ(index.stats().entries, 12U);
}

TEST(PrefixIndexTest, KeepsTheBeginningOfAChainLongerThanTheCapacity) {
  PrefixIndex index({});
  const auto endpoint = *index.add_endpoint(5);
  index.insert(endpoint, chain_of(1, 9));
  EXPECT_EQ(matched(index, endpoint, chain_of(1, 9)), 5U);
}

TEST(PrefixIndexTest, ASmallerCapacityTakesEffectAtOnce) {
  PrefixIndex index({});
  const auto endpoint = *index.add_endpoint(50);
  index.insert(endpoint, chain_of(1, 40));
  index.set_capacity(endpoint, 15);
  EXPECT_EQ(matched(index, endpoint, chain_of(1, 40)), 15U);
  index.set_capacity(endpoint, 60);
  index.insert(endpoint, chain_of(1, 40));
  EXPECT_EQ(matched(index, endpoint, chain_of(1, 40)), 40U);
}

TEST(PrefixIndexTest, ARemovedEndpointIsForgottenAndItsSlotStartsEmpty) {
  PrefixIndex index({.max_endpoints = 1});
  const auto old = *index.add_endpoint(50);
  index.insert(old, chain_of(1, 40));
  EXPECT_FALSE(index.add_endpoint(50)) << "one endpoint only";
  index.remove_endpoint(old);
  const auto next = *index.add_endpoint(50);
  EXPECT_EQ(next.slot, old.slot);
  EXPECT_NE(next, old);
  index.insert(old, chain_of(2, 40));
  EXPECT_EQ(matched(index, next, chain_of(1, 40)), 0U);
  EXPECT_EQ(matched(index, next, chain_of(2, 40)), 0U)
      << "a late change of the removed endpoint does nothing";
  EXPECT_EQ(index.stats().entries, 0U);
  EXPECT_EQ(index.stats().blocks, 0U);
  EXPECT_EQ(index.stats().stale_changes, 1U);
}

TEST(PrefixIndexTest, ManyEndpointsMayHoldTheSameBlocks) {
  PrefixIndex index({.max_endpoints = 300});
  const Chain shared = chain_of(1, 64);
  std::vector<EndpointHandle> endpoints;
  for (std::size_t i = 0; i < 300; ++i) {
    endpoints.push_back(*index.add_endpoint(100));
    index.insert(endpoints.back(), std::span(shared).first(1 + i % 64));
  }
  std::vector<std::uint32_t> blocks(index.slots());
  index.match(shared, blocks);
  for (std::size_t i = 0; i < 300; ++i) {
    EXPECT_EQ(blocks[i], 1 + i % 64);
  }
  for (std::size_t i = 0; i < 299; ++i) {
    index.remove_endpoint(endpoints[i]);
  }
  index.match(shared, blocks);
  EXPECT_EQ(blocks[299], 1 + 299U % 64);
  EXPECT_EQ(std::ranges::count(blocks, 0U), 299);
}

TEST(PrefixIndexTest, HashesThatLookLikeMarksAreOrdinaryBlocks) {
  PrefixIndex index({});
  const auto endpoint = *index.add_endpoint(10);
  const Chain chain = {0, 1, ~BlockHash{0}};
  index.insert(endpoint, chain);
  EXPECT_EQ(matched(index, endpoint, chain), 3U);
}

TEST(PrefixIndexTest, CountsABlockForTheBestTierThatHasIt) {
  PrefixIndex index({.tiers = 3, .feed = PrefixIndex::Feed::Blocks});
  const auto endpoint = *index.add_endpoint(100);
  const Chain chain = chain_of(1, 5);
  index.store(endpoint, 0, std::span(chain).first(3));
  index.store(endpoint, 1, std::span(chain).subspan(2, 2));
  std::vector<TierMatch> matches(index.slots());
  index.match_tiers(chain, matches);
  EXPECT_EQ(matches[0], (TierMatch{4, {3, 1}}));
  index.remove(endpoint, 0, std::span(chain).first(3));
  index.match_tiers(chain, matches);
  EXPECT_EQ(matches[0], TierMatch()) << "the first block is nowhere";
  index.store(endpoint, 2, std::span(chain).first(2));
  index.match_tiers(chain, matches);
  EXPECT_EQ(matches[0], (TierMatch{4, {0, 2, 2}}));
  EXPECT_EQ(matched(index, endpoint, chain), 4U);
}

// What the index should say, in the plainest way.
class PlainIndex {
 public:
  void insert(std::size_t endpoint, Chain chain, std::size_t capacity) {
    auto& order = recent_[endpoint];
    chain.resize(std::min(chain.size(), capacity));
    for (auto block = chain.rbegin(); block != chain.rend(); ++block) {
      order.remove(*block);
      order.push_front(*block);
    }
    while (order.size() > capacity) {
      order.pop_back();
    }
  }
  void clear(std::size_t endpoint) { recent_[endpoint].clear(); }
  std::uint32_t match(std::size_t endpoint, const Chain& chain) {
    const auto& order = recent_[endpoint];
    const auto missing = std::ranges::find_if(
        chain, [&](BlockHash block) { return std::ranges::find(order, block) == order.end(); });
    return static_cast<std::uint32_t>(missing - chain.begin());
  }

 private:
  std::map<std::size_t, std::list<BlockHash>> recent_;
};

// Prompts that share beginnings: a walk through a tree where every node has three children.
Chain random_prompt(std::mt19937& random) {
  Chain chain;
  BlockHash node = 1;
  const std::size_t length = 1 + random() % 12;
  for (std::size_t i = 0; i < length; ++i) {
    node = node * 3 + random() % 3;
    chain.push_back(node);
  }
  return chain;
}

TEST(PrefixIndexTest, SaysTheSameAsAPlainListAfterAnyChanges) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    const std::size_t count = 1 + random() % 9;
    const std::size_t capacity = 1 + random() % 60;
    PrefixIndex index({.max_endpoints = count});
    std::vector<EndpointHandle> endpoints;
    for (std::size_t i = 0; i < count; ++i) {
      endpoints.push_back(*index.add_endpoint(capacity));
    }
    PlainIndex plain;
    std::vector<std::uint32_t> blocks(count);
    for (int step = 0; step < 600; ++step) {
      const Chain chain = random_prompt(random);
      const std::size_t endpoint = random() % count;
      if (random() % 50 == 0) {
        index.clear(endpoints[endpoint]);
        plain.clear(endpoint);
      } else {
        index.insert(endpoints[endpoint], chain);
        plain.insert(endpoint, chain, capacity);
      }
      const Chain asked = random_prompt(random);
      index.match(asked, blocks);
      for (std::size_t i = 0; i < count; ++i) {
        ASSERT_EQ(blocks[i], plain.match(i, asked))
            << "seed " << seed << ", step " << step << ", endpoint " << i;
      }
    }
  }
}

// What an endpoint with these sets of blocks, one a tier, has of a prompt.
template <typename Tiers>
TierMatch plainly_matched(const Tiers& tiers, const Chain& asked) {
  TierMatch match;
  for (const BlockHash hash : asked) {
    const auto best = std::ranges::find_if(tiers, [&](const auto& blocks) { return blocks.contains(hash); });
    if (best == tiers.end()) {
      break;
    }
    ++match.blocks;
    ++match.by_tier[static_cast<std::size_t>(best - tiers.begin())];
  }
  return match;
}

TEST(PrefixIndexTest, FedWithBlocksItSaysTheSameAsPlainSetsAfterAnyChanges) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    constexpr std::size_t kEndpoints = 7;
    constexpr std::size_t kTiers = 3;
    PrefixIndex index({.max_endpoints = kEndpoints, .tiers = kTiers, .feed = PrefixIndex::Feed::Blocks});
    std::vector<EndpointHandle> endpoints;
    for (std::size_t i = 0; i < kEndpoints; ++i) {
      endpoints.push_back(*index.add_endpoint(1'000'000));
    }
    std::array<std::array<std::set<BlockHash>, kTiers>, kEndpoints> plain;
    std::vector<std::uint32_t> blocks(kEndpoints);
    std::vector<TierMatch> tiers(kEndpoints);
    for (int step = 0; step < 600; ++step) {
      const Chain chain = random_prompt(random);
      const std::size_t endpoint = random() % kEndpoints;
      const auto tier = static_cast<Tier>(random() % kTiers);
      if (random() % 3 == 0) {
        index.remove(endpoints[endpoint], tier, chain);
        std::ranges::for_each(chain, [&](BlockHash hash) { plain[endpoint][tier].erase(hash); });
      } else {
        index.store(endpoints[endpoint], tier, chain);
        plain[endpoint][tier].insert(chain.begin(), chain.end());
      }
      const Chain asked = random_prompt(random);
      index.match(asked, blocks);
      index.match_tiers(asked, tiers);
      for (std::size_t i = 0; i < kEndpoints; ++i) {
        const TierMatch expected = plainly_matched(plain[i], asked);
        ASSERT_EQ(tiers[i], expected) << "seed " << seed << ", step " << step << ", endpoint " << i;
        ASSERT_EQ(blocks[i], expected.blocks);
      }
    }
  }
}

// A walk through a tree that rarely branches: prompts share long beginnings, as conversations do.
Chain long_prompt(std::mt19937& random) {
  Chain chain(1 + random() % 300);
  BlockHash node = 1;
  for (BlockHash& block : chain) {
    node = (node ^ (random() % 64 == 0 ? 0x5bd1e995U : 0U)) * 0x9e3779b97f4a7c15ULL + 1;
    block = node;
  }
  return chain;
}

// A piece of a chain, as an event tells of it.
std::span<const BlockHash> piece_of(const Chain& chain, std::mt19937& random) {
  const std::size_t begin = random() % 3 == 0 ? random() % chain.size() : 0;
  return std::span(chain).subspan(begin, 1 + random() % (chain.size() - begin));
}

std::optional<BlockHash> block_before(std::span<const BlockHash> piece, const Chain& chain) {
  return piece.data() == chain.data() ? std::nullopt : std::optional(piece.data()[-1]);
}

TEST(PrefixIndexTest, WithRunsMadeAndTornItSaysTheSameAsAWalkBlockByBlock) {
  for (unsigned seed = 1; seed <= 12; ++seed) {
    std::mt19937 random(seed);
    constexpr std::size_t kTiers = 2;
    const std::size_t count = 1 + random() % 6;  // up to three endpoints stand in an entry, more in a set
    PrefixIndex index({.max_endpoints = count, .tiers = kTiers, .feed = PrefixIndex::Feed::Blocks});
    std::vector<EndpointHandle> endpoints;
    for (std::size_t i = 0; i < count; ++i) {
      endpoints.push_back(*index.add_endpoint(1'000'000));
    }
    std::vector<std::array<std::unordered_set<BlockHash>, kTiers>> plain(count);
    std::vector<std::uint32_t> blocks(count);
    std::vector<TierMatch> tiers(count);
    for (int step = 0; step < 400; ++step) {
      const Chain chain = long_prompt(random);
      const std::size_t endpoint = random() % count;
      const auto tier = static_cast<Tier>(random() % 4 == 0 ? 1 : 0);
      auto& own = plain[endpoint][tier];
      const auto piece = piece_of(chain, random);
      switch (random() % 8) {
        case 0:  // a hole
          index.remove(endpoints[endpoint], tier, piece.first(1));
          own.erase(piece.front());
          break;
        case 1:
          index.remove(endpoints[endpoint], tier, piece);
          std::ranges::for_each(piece, [&](BlockHash hash) { own.erase(hash); });
          break;
        case 2:
          if (step % 16 == 0) {
            index.clear(endpoints[endpoint]);
            plain[endpoint] = {};
          }
          break;
        default:
          index.store(endpoints[endpoint], tier, piece, block_before(piece, chain));
          own.insert(piece.begin(), piece.end());
      }
      const Chain asked = long_prompt(random);
      index.match(asked, blocks);
      index.match_tiers(asked, tiers);
      for (std::size_t i = 0; i < count; ++i) {
        const TierMatch expected = plainly_matched(plain[i], asked);
        ASSERT_EQ(tiers[i], expected) << "seed " << seed << ", step " << step << ", endpoint " << i;
        ASSERT_EQ(blocks[i], expected.blocks);
      }
    }
  }
}

// One endpoint's chain never changes while others come, go and overflow; readers must always see all of it,
// never a block of the writer's on the reader's endpoint, and never more of it on another than that was told.
TEST(PrefixIndexTest, ReadersSeeWhatIsStableWhileWritersChangeTheRest) {
  for (const auto feed : {PrefixIndex::Feed::Chains, PrefixIndex::Feed::Blocks}) {
    PrefixIndex index({.max_endpoints = 64, .tiers = 2, .feed = feed});
    const auto stable = *index.add_endpoint(10'000);
    const Chain chain = chain_of(1, 5'000);
    constexpr std::size_t kShared = 300;
    const Chain foreign = chain_of(2, 500);
    index.insert(stable, chain);
    std::vector<EndpointHandle> others;
    for (int i = 0; i < 20; ++i) {
      others.push_back(*index.add_endpoint(2'000));
    }
    std::atomic<bool> stop = false;
    std::atomic<int> wrong = 0;
    std::atomic<int> looks = 0;
    std::vector<std::thread> readers;
    for (int i = 0; i < 2; ++i) {
      readers.emplace_back([&] {
        std::vector<std::uint32_t> blocks(index.slots());
        std::vector<TierMatch> tiers(index.slots());
        while (!stop) {
          index.match(chain, blocks);
          wrong += blocks[stable.slot] == chain.size() ? 0 : 1;
          wrong += static_cast<int>(std::ranges::count_if(blocks, [](auto n) { return n > kShared; })) - 1;
          index.match(foreign, blocks);
          wrong += blocks[stable.slot] == 0 ? 0 : 1;
          index.match_tiers(chain, tiers);
          wrong += tiers[stable.slot].by_tier[0] == chain.size() ? 0 : 1;
          ++looks;
        }
      });
    }
    // Shared blocks become sets and single owners again; distinct ones make the table grow and be rebuilt.
    for (std::uint64_t round = 0; round < 25 || looks < 20; ++round) {
      for (const EndpointHandle other : others) {
        index.insert(other, std::span(chain).first(kShared));
        index.insert(other, foreign);
        index.insert(other, chain_of(100 + round * 20 + other.slot, 1'500));
      }
      if (round % 7 == 0) {
        for (EndpointHandle& other : others) {
          index.remove_endpoint(other);
          other = *index.add_endpoint(2'000);
        }
      }
    }
    stop = true;
    for (std::thread& reader : readers) {
      reader.join();
    }
    EXPECT_EQ(wrong, 0);
    EXPECT_EQ(matched(index, stable, chain), chain.size());
  }
}

}  // namespace
}  // namespace llmd::kvcache
