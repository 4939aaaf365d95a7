// What the scan knows of prompts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "openai/testing_scan.h"

namespace llmd::openai {
namespace {

std::string conversation(std::initializer_list<std::string> turns) {
  std::string body = R"({"model":"m","messages":[)";
  const char* role = "user";
  for (const std::string& turn : turns) {
    body += body.ends_with('[') ? "" : ",";
    body += std::string(R"({"role":")") + role + R"(","content":")" + turn + "\"}";
    role = "assistant";
  }
  return body + "]}";
}

TEST(PromptScanTest, AGrowingConversationRepeatsItsUnits) {
  const std::string first(500, 'a');
  const auto before = scanned(conversation({first}));
  const auto after = scanned(conversation({first, "and more than that"}));
  const std::size_t common = 512 / 64;
  ASSERT_GT(after.prompt_units().size(), common);
  for (std::size_t i = 0; i < common; ++i) {
    EXPECT_EQ(before.prompt_units()[i], after.prompt_units()[i]) << i;
  }
  EXPECT_NE(scanned(conversation({"b" + first})).prompt_units()[0], before.prompt_units()[0]);
}

TEST(PromptScanTest, UnitsDoNotDependOnHowTheBodyArrives) {
  const std::string body =
      R"({"stream":true,"prompt":"line\nline \"quoted\" and \\ so on until there are enough bytes for two units)"
      R"( of sixty-four, or three","priority":-3,"max_completion_tokens":77,"user":"u\u00e9","cache_salt":"s"})";
  const auto whole = scanned(body);
  for (const std::size_t step : {1, 3, 64, 100}) {
    const auto pieces = scanned(body, step);
    EXPECT_THAT(pieces.prompt_units(), testing::ElementsAreArray(whole.prompt_units()));
    EXPECT_EQ(pieces.prompt_bytes(), whole.prompt_bytes());
  }
  EXPECT_EQ(whole.priority(), -3);
  EXPECT_EQ(whole.max_tokens(), 77);
  EXPECT_EQ(whole.user(), "u\u00e9");
  EXPECT_EQ(whole.cache_salt(), "s");
  EXPECT_EQ(whole.estimated_tokens(), static_cast<std::int64_t>((whole.prompt_bytes() + 3) / 4));
}

TEST(PromptScanTest, OnlyThePromptIsHashed) {
  const auto with = scanned(R"({"model":"a","temperature":0.5,"prompt":"hello","metadata":{"x":["y"]}})");
  const auto without = scanned(R"({"prompt":"hello"})");
  EXPECT_THAT(with.prompt_units(), testing::ElementsAreArray(without.prompt_units()));
  EXPECT_EQ(with.prompt_bytes(), std::string_view("hello\"").size());
}

TEST(PromptScanTest, SeesImagesInMessages) {
  const std::string image =
      R"({"messages":[{"content":[{"type":"image_url","image_url":{"url":"data:"}}]}]})";
  for (const std::size_t step : {1, 7, 1000}) {
    EXPECT_TRUE(scanned(image, step).multimodal());
  }
  EXPECT_FALSE(scanned(R"({"messages":[{"content":"an image_url in words"}]})").multimodal());
  EXPECT_FALSE(scanned(R"({"metadata":{"type":"image_url"}})").multimodal());
}

TEST(PromptScanTest, AStringFullOfEscapesIsReadOnce) {
  std::string body = R"({"prompt":")";
  for (int i = 0; i < 100'000; ++i) {
    body += "\\n";
  }
  body += R"(","model":"m"})";
  EXPECT_EQ(scanned(body).model(), "m");
}

}  // namespace
}  // namespace llmd::openai
