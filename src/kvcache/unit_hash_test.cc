#include "kvcache/unit_hash.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <string>
#include <unordered_set>
#include <vector>

#include "kvcache/block_hash.h"

namespace llmd::kvcache {
namespace {

class UnitHashTest : public testing::TestWithParam<UnitHash> {};

std::uint64_t hash_of(UnitHash hash, const std::string& unit) {
  std::uint64_t value = 0;
  hash(unit.data(), 1, &value);
  return value;
}

TEST_P(UnitHashTest, EveryBitOfAUnitTouchesHalfOfItsHash) {
  const std::string unit = "The quick brown fox jumps over the lazy dog, and then once again";
  ASSERT_EQ(unit.size(), kUnitBytes);
  const std::uint64_t before = hash_of(GetParam(), unit);
  int least = 64;
  int most = 0;
  int sum = 0;
  for (std::size_t bit = 0; bit < 8 * kUnitBytes; ++bit) {
    std::string changed = unit;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    const int touched = std::popcount(before ^ hash_of(GetParam(), changed));
    least = std::min(least, touched);
    most = std::max(most, touched);
    sum += touched;
  }
  EXPECT_GE(least, 15);
  EXPECT_LE(most, 49);
  EXPECT_NEAR(sum / (8.0 * kUnitBytes), 32, 1);
}

TEST_P(UnitHashTest, TextsThatDifferInFewPlacesHaveHashesOfTheirOwn) {
  std::unordered_set<std::uint64_t> seen;
  std::size_t texts = 0;
  for (std::uint32_t number = 0; number < 50'000; ++number) {
    for (const std::size_t place : {0U, 14U, 30U, 60U}) {
      std::string unit(kUnitBytes, ' ');
      std::memcpy(unit.data() + place, &number, sizeof number);
      // In two quarters of the unit, which could take each other away.
      std::memcpy(unit.data() + (place + 16) % kUnitBytes, &number, sizeof number);
      seen.insert(hash_of(GetParam(), unit));
      ++texts;
    }
  }
  EXPECT_EQ(seen.size(), texts);
}

TEST_P(UnitHashTest, ManyUnitsAreHashedAsOneByOne) {
  std::string text;
  for (int i = 0; i < 10 * static_cast<int>(kUnitBytes); ++i) {
    text += static_cast<char>(i * 31);
  }
  std::vector<std::uint64_t> together(10);
  GetParam()(text.data(), together.size(), together.data());
  for (std::size_t i = 0; i < together.size(); ++i) {
    EXPECT_EQ(together[i], hash_of(GetParam(), text.substr(i * kUnitBytes, kUnitBytes)));
  }
}

INSTANTIATE_TEST_SUITE_P(OfThisProcessor, UnitHashTest, testing::Values(unit_hash()));
INSTANTIATE_TEST_SUITE_P(OfEveryProcessor, UnitHashTest, testing::Values(portable_unit_hash()));

}  // namespace
}  // namespace llmd::kvcache
