#include "kvcache/block_hash.h"

#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <string>

namespace llmd::kvcache {
namespace {

std::vector<TokenId> tokens_from(TokenId first, std::size_t count) {
  std::vector<TokenId> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

struct KeyRow {
  KeyAlgorithm algorithm;
  std::string_view seed;
  bool with_image;
  BlockHash init;
  std::vector<BlockHash> keys;
};

TEST(RequestKeysTest, AreThoseOfTheIndexersWeReplace) {
  const std::vector<KeyRow> rows = {
      {KeyAlgorithm::CborFnv,
       "",
       false,
       11374735546233341228U,
       {18216873062712665045U, 2244927951475950666U}},
      {KeyAlgorithm::CborFnv, "", true, 11374735546233341228U, {3122686941147318909U, 9814075531572078319U}},
      {KeyAlgorithm::CborFnv,
       "42",
       false,
       13673417957312747559U,
       {10537172267815616279U, 12405703473848005276U}},
      {KeyAlgorithm::Xxh64, "", false, 14487164469406636363U, {15354003621751916615U, 17069895277783068821U}},
      {KeyAlgorithm::Xxh64, "", true, 14487164469406636363U, {9481825606585203674U, 9823684076930164375U}},
  };
  const auto tokens = tokens_from(1, 32);
  const std::string_view image = "imgA";
  const BlockExtras first_block[] = {BlockExtras(&image, 1)};
  for (const KeyRow& row : rows) {
    const RequestKeys keys(row.algorithm, row.seed, "m");
    EXPECT_EQ(keys.init(), row.init);
    std::vector<BlockHash> got(4);
    const auto extras =
        row.with_image ? std::span<const BlockExtras>(first_block) : std::span<const BlockExtras>();
    got.resize(keys.chain(keys.init(), tokens, 16, extras, got));
    EXPECT_EQ(got, row.keys) << "seed '" << row.seed << "'";
  }
}

TEST(RequestKeysTest, ContinueFromAnyBlockAndLeaveOutAnIncompleteOne) {
  const RequestKeys keys(KeyAlgorithm::Xxh64, "", "m");
  const auto tokens = tokens_from(1, 50);
  std::array<BlockHash, 8> whole{};
  ASSERT_EQ(keys.chain(keys.init(), tokens, 16, {}, whole), 3U);
  std::array<BlockHash, 8> rest{};
  ASSERT_EQ(keys.chain(whole[0], std::span(tokens).subspan(16), 16, {}, rest), 2U);
  EXPECT_EQ(rest[1], whole[2]);
  EXPECT_EQ(keys.chain(keys.init(), std::span(tokens).first(15), 16, {}, rest), 0U);
  EXPECT_EQ(keys.chain(keys.init(), tokens, 0, {}, rest), 0U);
}

TEST(RequestKeysTest, DifferByModelAndSeed) {
  for (const auto algorithm : {KeyAlgorithm::CborFnv, KeyAlgorithm::Xxh64}) {
    EXPECT_NE(RequestKeys(algorithm, "", "m").init(), RequestKeys(algorithm, "", "n").init());
    EXPECT_NE(RequestKeys(algorithm, "", "m").init(), RequestKeys(algorithm, "1", "m").init());
  }
}

TEST(ApproximateChainTest, OverTokensIsThatOfTheIndexersWeReplace) {
  std::array<BlockHash, 4> chain{};
  ASSERT_EQ(approximate_token_chain(approximate_seed("m", ""), tokens_from(1, 32), 16, chain), 2U);
  EXPECT_EQ(chain[0], 11823988061213400008U);
  EXPECT_EQ(chain[1], 7759882086043311470U);
}

TEST(ApproximateChainTest, IsSharedAsFarAsTheTextsAreTheSame) {
  const auto chain_of = [](const std::string& text) {
    std::vector<std::uint64_t> units;
    UnitHasher hasher;
    hasher.feed(text, units);
    hasher.finish(units);
    std::vector<BlockHash> chain(units.size());
    EXPECT_EQ(approximate_chain(7, units, 1, chain), units.size());
    return chain;
  };
  const std::string common(2 * kUnitBytes, 'x');
  const auto one = chain_of(common + "one end");
  const auto other = chain_of(common + "another end");
  ASSERT_EQ(one.size(), 3U);
  ASSERT_EQ(other.size(), 3U);
  EXPECT_EQ(one[0], other[0]);
  EXPECT_EQ(one[1], other[1]);
  EXPECT_NE(one[2], other[2]);
  EXPECT_NE(one[0], one[1]);
}

TEST(ApproximateChainTest, CoversEverythingBefore) {
  std::vector<std::uint64_t> units(64);
  std::iota(units.begin(), units.end(), 1);
  for (const std::size_t step : {1U, 3U, 4U}) {
    std::vector<BlockHash> chain(64);
    chain.resize(approximate_chain(7, units, step, chain));
    for (std::size_t changed = 0; changed < units.size(); ++changed) {
      auto others = units;
      others[changed] ^= 1;
      std::vector<BlockHash> other(chain.size());
      approximate_chain(7, others, step, other);
      for (std::size_t block = 0; block < chain.size(); ++block) {
        EXPECT_EQ(chain[block] == other[block], block < changed / step)
            << step << " units in a block, unit " << changed << " changed, block " << block;
      }
    }
  }
}

TEST(ApproximateChainTest, DoesNotDependOnHowTheTextArrives) {
  std::string text;
  for (int i = 0; i < 400; ++i) {
    text += static_cast<char>('a' + i % 26);
  }
  std::vector<std::uint64_t> whole;
  UnitHasher hasher;
  hasher.feed(text, whole);
  hasher.finish(whole);
  EXPECT_EQ(whole.size(), 7U);
  for (const std::size_t step : {1U, 3U, 63U, 64U, 65U, 399U}) {
    std::vector<std::uint64_t> pieces;
    for (std::size_t at = 0; at < text.size(); at += step) {
      hasher.feed(std::string_view(text).substr(at, step), pieces);
    }
    hasher.finish(pieces);
    EXPECT_EQ(pieces, whole) << "pieces of " << step;
  }
}

TEST(ApproximateChainTest, ABlockMayBeSeveralUnitsAndTheChainIsCutToWhatFits) {
  const std::vector<std::uint64_t> units = {1, 2, 3, 4, 5};
  std::array<BlockHash, 8> chain{};
  EXPECT_EQ(approximate_chain(7, units, 2, chain), 3U);
  std::array<BlockHash, 2> two{};
  EXPECT_EQ(approximate_chain(7, units, 2, two), 2U);
  EXPECT_EQ(two[1], chain[1]);
  EXPECT_NE(approximate_seed("m", "salt"), approximate_seed("m", ""));
}

}  // namespace
}  // namespace llmd::kvcache
