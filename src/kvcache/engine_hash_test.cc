#include "kvcache/engine_hash.h"

#include <gtest/gtest.h>

#include <numeric>

#include "crypto/encode.h"

namespace llmd::kvcache {
namespace {

std::string hex(const EngineDigest& digest) {
  return crypto::to_hex(digest.bytes());
}

std::vector<TokenId> tokens_from(TokenId first, std::size_t count) {
  std::vector<TokenId> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

TEST(EngineHashTest, CborChainsAreThoseOfVllm) {
  const EngineHasher hasher(EngineHashAlgorithm::Sha256Cbor, "0");
  EXPECT_EQ(hex(hasher.none_hash()), "4e1195df020de59e0d65a33a4279f1183e7ae4e5d980e309f8b55adff2e61c3e");
  const EngineDigest first = hasher.next(hasher.none_hash(), tokens_from(1, 16));
  EXPECT_EQ(hex(first), "202da172482d928bbc42ab25b0151e2b895f13f41002e27b2ceabcfae6d332ea");
  EXPECT_EQ(first.low64(), 3236607068019569386U);
  const EngineDigest second = hasher.next(first, tokens_from(17, 16));
  EXPECT_EQ(hex(second), "4a0a393805c6d2f0ed831000d41bb65980336c4c04895d5e26470bbec927f5bf");
  EXPECT_EQ(second.low64(), 2758186210834249151U);
  const std::string_view adapter = "loraA";
  const std::string with_adapter = hex(hasher.next(hasher.none_hash(), tokens_from(1, 16), {&adapter, 1}));
  EXPECT_TRUE(with_adapter.starts_with("869a32ec")) << with_adapter;
  EXPECT_TRUE(with_adapter.ends_with("32a5bf")) << with_adapter;
}

// The expected digests come from CPython: sha256(pickle.dumps((parent, tokens, extra), protocol=5)).
TEST(EngineHashTest, PickledChainsAreThoseOfPython) {
  const EngineHasher hasher(EngineHashAlgorithm::Sha256, "0");
  EXPECT_EQ(hex(hasher.none_hash()), "1973e23848344dc43a988a9b478663803cfffe1243480253f9a3cf004b14aa7c");
  const EngineDigest first = hasher.next(hasher.none_hash(), tokens_from(1, 16));
  EXPECT_EQ(hex(first), "bea72b7d33de03c1aa715efbb492d0e0d3801f00c1f985756896072ae8b31325");
  const std::vector<TokenId> widths = {0, 255, 256, 65535, 65536, 2147483647, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  const std::string long_extra(300, 'x');
  const std::string_view two[] = {"loraA", long_extra};
  const EngineDigest second = hasher.next(first, widths, two);
  EXPECT_EQ(hex(second), "21502d04e7b51848b065841516805a51ee01bd49a2ca7ac82ee0265826bf36c7");
  const std::vector<TokenId> large = {2147483648U, 4294967295U};
  const EngineDigest third = hasher.next(second, large);
  EXPECT_EQ(hex(third), "b8b0d62bc172208793fa235f5109030db6a4a7faef43a1fe09d79444e3edfbb9");
  const std::vector<TokenId> one = {5};
  const std::string_view extra = "a";
  EXPECT_EQ(hex(hasher.next(third, one, {&extra, 1})),
            "ea481758cafbc8819f0e24a03410c34c64c82475c5297bb4a137ebfebc37c81b");
}

TEST(EngineHashTest, EveryAlgorithmChainsAndHasItsWidth) {
  const std::pair<std::string_view, std::size_t> rows[] = {{"sha256", 32},           {"sha256_cbor", 32},
                                                           {"sha256_cbor_64bit", 8}, {"xxhash", 16},
                                                           {"xxhash_cbor", 16},      {"builtin", 8}};
  for (const auto& [name, width] : rows) {
    const auto algorithm = parse_engine_hash(name);
    ASSERT_TRUE(algorithm) << name;
    const EngineHasher hasher(*algorithm, "0");
    const EngineHasher same(*algorithm, "0");
    const EngineHasher other(*algorithm, "1");
    const auto tokens = tokens_from(1, 16);
    const EngineDigest first = hasher.next(hasher.none_hash(), tokens);
    EXPECT_EQ(first.bytes().size(), width) << name;
    EXPECT_EQ(first, same.next(same.none_hash(), tokens)) << name;
    EXPECT_NE(hex(first), hex(other.next(other.none_hash(), tokens))) << name;
    EXPECT_NE(hex(first), hex(hasher.next(first, tokens))) << name;
  }
}

TEST(EngineHashTest, WithoutASeedEnginesDoNotAgree) {
  EXPECT_NE(hex(EngineHasher(EngineHashAlgorithm::Sha256, std::nullopt).none_hash()),
            hex(EngineHasher(EngineHashAlgorithm::Sha256, std::nullopt).none_hash()));
}

TEST(EngineHashTest, AnUnknownNameIsAnErrorWithTheNearestOne) {
  const auto algorithm = parse_engine_hash("sha256-cbor");
  ASSERT_FALSE(algorithm);
  EXPECT_EQ(algorithm.error().advice, "did you mean 'sha256_cbor'?");
}

}  // namespace
}  // namespace llmd::kvcache
