#include "gateway/picker_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "openai/testing_scan.h"

namespace llmd::gateway {
namespace {

using openai::scanned;

TEST(PickerRequestTest, KnowsImagesVideosAndSounds) {
  const std::string body =
      R"({"model":"m","messages":[{"role":"user","content":[
          {"type":"image_url","image_url":{"url":"data:image/png;base64,)" +
      std::string(100'000, 'A') +
      R"("}},{"type":"video_url","video_url":{"url":"http://v"}},
          {"type":"image_url","image_url":"http://a"}]}]})";
  const auto scan = scanned(body);
  http::Headers headers;
  headers.add("X-LLM-D-Video-Duration-Seconds", "1");
  const auto media = media_of(scan, body, headers);
  ASSERT_EQ(media.size(), 3U);
  EXPECT_EQ(media[0].modality, openai::Modality::Image);
  EXPECT_EQ(media[1].modality, openai::Modality::Video);
  EXPECT_EQ(media[1].tokens, 2 * 225) << "two frames of one second";
  const auto request = request_of(scan, headers, media);
  EXPECT_TRUE(request.multimodal);
  EXPECT_EQ(request.media.size(), 3U);
  EXPECT_NEAR(static_cast<double>(request.prompt_tokens()), 225 + 450 + 225, 100)
      << "not by the data's length";
}

TEST(PickerRequestTest, KnowsTheTokensOfRequestsInTokens) {
  const auto scan = scanned(R"({"model":"m","token_ids":[5,6,7]})");
  const http::Headers headers;
  const auto request = request_of(scan, headers);
  EXPECT_THAT(request.tokens, testing::ElementsAre(5, 6, 7));
  EXPECT_EQ(request.prompt_tokens(), 3);
}

TEST(PickerRequestTest, PlainTextHasNoMedia) {
  const std::string body = R"({"model":"m","prompt":"an image_url, in words"})";
  const auto scan = scanned(body);
  EXPECT_TRUE(media_of(scan, body, {}).empty());
  const http::Headers headers;
  const auto request = request_of(scan, headers);
  EXPECT_FALSE(request.multimodal);
  EXPECT_EQ(request.prompt_tokens(), scan.estimated_tokens());
}

}  // namespace
}  // namespace llmd::gateway
