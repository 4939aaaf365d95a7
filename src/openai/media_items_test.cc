#include "openai/media_items.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "crypto/hash.h"

namespace llmd::openai {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(MediaItemsTest, AreTheirContentsInOrderAndEachOnce) {
  const auto a = crypto::xxh64("http://a/1.png");
  const auto b = crypto::xxh64("data:image/png;base64,AAAA");
  const auto c = crypto::xxh64("UklGRg==");
  EXPECT_THAT(media_items(R"({"model":"m","messages":[{"role":"user","content":[
      {"type":"text","text":"image_url"},
      {"type":"image_url","image_url":{"url":"http://a/1.png","detail":"low"}},
      {"type":"image_url","image_url":"data:image/png;base64,AAAA"},
      {"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}},
      {"type":"image_url","image_url":{"url":"http://a/1.png"}}]}]})"),
              ElementsAre(a, b, c));
}

TEST(MediaItemsTest, WhatHasNoneOrMakesNoSenseHasNone) {
  for (const std::string_view body : {R"({"model":"m","prompt":"image_url"})", R"({"image_url":{"url":7}})",
                                      R"({"image_url":{}})", R"({"messages":[)", ""}) {
    EXPECT_THAT(media_items(body), IsEmpty()) << body;
  }
}

}  // namespace
}  // namespace llmd::openai
