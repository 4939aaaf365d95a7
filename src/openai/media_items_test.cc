#include "openai/media_items.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "crypto/encode.h"
#include "openai/testing_scan.h"

namespace llmd::openai {
namespace {

using testing::ElementsAre;

std::string with_content(std::string_view parts) {
  return R"({"model":"m","messages":[{"role":"user","content":[)" + std::string(parts) + "]}]}";
}

std::vector<std::string> contents(std::string_view body, std::size_t step = SIZE_MAX) {
  const RequestScan scan = scanned(body, step);
  std::vector<std::string> found;
  for (const MediaContent& content : scan.media()) {
    found.push_back(std::string(name_of(content.modality)) + " " +
                    std::string(body.substr(content.begin, content.end - content.begin)));
  }
  return found;
}

constexpr std::string_view kOfEveryKind = R"({"type":"text","text":"image_url"},
      {"type":"image_url","image_url":{"detail":"low","url":"http://a/1.png"}},
      {"type":"input_image","image_url":"data:image/png;base64,AAAA"},
      {"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}},
      {"type":"video_url","video_url" : { "url" : "http:\/\/a\/\"v\".mp4" } },
      {"type":"audio_url","audio_url":{"url":"http://a/s.ogg"}},
      {"type":"text","text":"url"})";

TEST(MediaScanTest, FindsContentsWhereverTheBodyIsCut) {
  const std::string body = with_content(kOfEveryKind);
  for (const std::size_t step : {1UL, 2UL, 7UL, 64UL, SIZE_MAX}) {
    EXPECT_THAT(contents(body, step),
                ElementsAre("image http://a/1.png", "image data:image/png;base64,AAAA",
                            "audio UklGRg==", R"(video http:\/\/a\/\"v\".mp4)", "audio http://a/s.ogg"))
        << step;
    EXPECT_THAT(scanned(body, step).prompt_units(), testing::ElementsAreArray(scanned(body).prompt_units()));
  }
}

TEST(MediaScanTest, WhatIsNoContentIsNone) {
  for (const std::string_view part :
       {R"({"image_url":7})", R"({"image_url":{}})", R"({"image_url":{"url":7,"x":"text"}})",
        R"({"image_url":{"x":{"url":"deeper"}}})", R"({"image_url":["x"]})", R"({"image_url":null},"url")",
        R"({"image_url":{"url":""}})", R"({"image_url":{"detail":"a"},"url":"outside"})"}) {
    EXPECT_THAT(contents(with_content(part)), testing::IsEmpty()) << part;
  }
  EXPECT_THAT(contents(R"({"prompt":"image_url","metadata":{"image_url":{"url":"http://a"}}})"),
              testing::IsEmpty());
}

TEST(MediaScanTest, AContentCountsByItsHashAndNotByItsLength) {
  const auto with_url = [](std::string_view url) {
    return with_content(R"({"type":"image_url","image_url":{"url":")" + std::string(url) + "\"}}");
  };
  const auto one = scanned(with_url(std::string(300'000, 'a')));
  const auto same = scanned(with_url(std::string(300'000, 'a')), 1000);
  const auto other = scanned(with_url(std::string(300'000, 'b')));
  const auto tiny = scanned(with_url("http://a"));
  EXPECT_EQ(one.prompt_bytes(), tiny.prompt_bytes());
  EXPECT_LT(one.estimated_tokens(), 300);
  EXPECT_THAT(one.prompt_units(), testing::ElementsAreArray(same.prompt_units()));
  EXPECT_EQ(one.media()[0].hash, same.media()[0].hash);
  EXPECT_NE(one.media()[0].hash, other.media()[0].hash);
  EXPECT_NE(one.prompt_units().back(), other.prompt_units().back());
}

std::string picture(std::string_view file) {
  return R"({"type":"image_url","image_url":{"url":"data:image/png;base64,)" + crypto::to_base64(file) +
         "\"}}";
}

std::string png(std::string_view width, std::string_view height) {
  return std::string("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16) + std::string(width) + std::string(height) + "..";
}

TEST(MediaItemsTest, CostWhatTheirSizeSays) {
  using std::string_literals::operator""s;
  const std::string gif = "GIF89a\x40\x01\xc8\x00..."s;  // 320x200
  const std::string jpeg = "\xff\xd8\xff\xe0\x00\x04..\xff\xff\xc0\x00\x0b\x08\x02\x00\x04\x00\x01..."s;
  struct Row {
    std::string part;
    std::int64_t tokens;
  };
  for (const Row& row : {
           Row{picture(png("\0\0\4\0"s, "\0\0\2\0"s)), 1024 * 512 / 1024},
           Row{picture(gif), 62},
           Row{picture(jpeg), 1024 * 512 / 1024},
           Row{picture("not a picture"), 225},
           Row{R"({"image_url":{"url":"http://a/1.png"}})", 225},
           Row{R"({"video_url":{"url":"http://a/v"}})", 20 * 225},
           Row{R"({"input_audio":{"data":"123456789"}})", 3},
       }) {
    const std::string body = with_content(row.part);
    const auto scan = scanned(body);
    const auto items = media_items(scan, body);
    ASSERT_EQ(items.size(), 1U) << row.part;
    EXPECT_EQ(items[0].tokens, row.tokens) << row.part;
    EXPECT_EQ(estimated_tokens(scan, items), scan.estimated_tokens() + row.tokens - 224);
  }
}

TEST(MediaItemsTest, EstimatesFollowTheirParametersAndTheRequestsHints) {
  struct Row {
    MediaEstimate estimate;
    VideoHints hints;
    std::int64_t image;
    std::int64_t video;
  };
  using Picture = MediaEstimate::Picture;
  using Video = MediaEstimate::Video;
  const Picture small{.size = {100, 100}, .factor = 100};
  const Picture fixed{.fixed = 7};
  for (const Row& row : {
           Row{{.image = small}, {}, 100, 4500},
           Row{{.image = fixed, .video = {.frame = fixed}}, {}, 7, 140},
           Row{{.video = {.frame = fixed, .seconds = 3}}, {}, 225, 42},
           Row{{.video = {.frame = fixed}}, {.seconds = 2.2}, 225, 35},
           Row{{.video = {.frame = fixed, .frames_at_once = 2}}, {.seconds = 2.2}, 225, 21},
           Row{{.video = {.frame = fixed, .least_frames = 100}}, {}, 225, 700},
           Row{{.video = {.frame = fixed, .most_frames = 4}}, {}, 225, 28},
           Row{{.video = {.frame = fixed, .most_tokens = 50}}, {}, 225, 50},
           Row{{.video = {.frame = fixed, .stride_fps = 24, .stride = 8}}, {}, 225, 210},
           Row{{.video = {.frame = fixed, .stride_fps = 24, .stride = 8}}, {.frames_per_second = 8}, 225, 70},
           Row{{.video = Video{}}, {.size = {1280, 720}}, 225, 20 * 900},
       }) {
    const std::string body =
        with_content(R"({"image_url":{"url":"http://a/1"}},{"video_url":{"url":"http://a/2"}})");
    const auto scan = scanned(body);
    const auto items = media_items(scan, body, row.estimate, row.hints);
    ASSERT_EQ(items.size(), 2U);
    EXPECT_EQ(items[0].tokens, row.image);
    EXPECT_EQ(items[1].tokens, row.video);
  }
}

TEST(VideoHintsTest, WhatMakesNoSenseCountsAsAbsent) {
  const VideoHints all = read_video_hints("2.5", " 30 ", " 1280 x 720");
  EXPECT_EQ(all.seconds, 2.5);
  EXPECT_EQ(all.frames_per_second, 30);
  EXPECT_EQ(all.size, (ImageSize{1280, 720}));
  for (const std::string_view text : {"", "-1", "nan", "-1x5", "x", "1e99"}) {
    const VideoHints none = read_video_hints(text, std::nullopt, text);
    EXPECT_EQ(none.seconds, 0) << text;
    EXPECT_EQ(none.size, ImageSize()) << text;
  }
}

TEST(MediaItemsTest, TheSameContentTwiceIsOneItem) {
  const std::string body = with_content(
      R"({"image_url":{"url":"http://a/1"}},{"image_url":"http://a/1"},{"image_url":"http://a/2"})");
  const auto scan = scanned(body);
  EXPECT_EQ(scan.media().size(), 3U);
  EXPECT_EQ(media_items(scan, body).size(), 2U);
}

}  // namespace
}  // namespace llmd::openai
