#include "kvcache/prompt_extras.h"

#include <gtest/gtest.h>

#include <string>

namespace llmd::kvcache {
namespace {

std::vector<std::vector<std::string>> listed(const PromptExtras& extras) {
  std::vector<std::vector<std::string>> lists;
  for (const BlockExtras& block : extras.blocks()) {
    lists.emplace_back(block.begin(), block.end());
  }
  return lists;
}

using Lists = std::vector<std::vector<std::string>>;

TEST(PromptExtrasTest, PlainTextHasNone) {
  EXPECT_TRUE(PromptExtras({}, "", 4, 10).blocks().empty());
}

TEST(PromptExtrasTest, AnImageTaintsTheBlocksItReachesInto) {
  const PlacedItem image{.id = "img", .offset = 6, .length = 5};
  EXPECT_EQ(listed(PromptExtras({&image, 1}, "", 4, 10)), (Lists{{}, {"img"}, {"img"}}));
  EXPECT_EQ(listed(PromptExtras({&image, 1}, "", 4, 2)), (Lists{{}, {"img"}}))
      << "cut at the last full block";
  const PlacedItem nothing{.id = "img", .offset = 6, .length = 0};
  EXPECT_EQ(listed(PromptExtras({&nothing, 1}, "", 4, 10)), (Lists{{}}));
}

TEST(PromptExtrasTest, SeveralStandInTheOrderOfTheirOffsetsAndTheSaltComesLast) {
  const PlacedItem items[] = {{.id = "b", .offset = 3, .length = 2}, {.id = "a", .offset = 0, .length = 2}};
  EXPECT_EQ(listed(PromptExtras(items, "salt", 4, 10)), (Lists{{"a", "b", "salt"}, {"b"}}));
  EXPECT_EQ(listed(PromptExtras({}, "salt", 4, 10)), (Lists{{"salt"}}));
}

TEST(PromptExtrasTest, PlaceholdersBeyondAllBoundsDoNoHarm) {
  const PlacedItem items[] = {{.id = "far", .offset = ~0ULL, .length = ~0ULL},
                              {.id = "long", .offset = 39, .length = ~0ULL}};
  const auto lists = listed(PromptExtras(items, "", 4, 10));
  ASSERT_EQ(lists.size(), 10U);
  EXPECT_EQ(lists[9], (std::vector<std::string>{"long"}));
}

}  // namespace
}  // namespace llmd::kvcache
