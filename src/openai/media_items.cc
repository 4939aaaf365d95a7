#include "openai/media_items.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"

namespace llmd::openai {
namespace {

constexpr std::int64_t kMostTokens = 1'000'000'000;  // whatever a header or a picture claims

std::int64_t bounded(double tokens) {
  return static_cast<std::int64_t>(std::clamp(tokens, 1.0, static_cast<double>(kMostTokens)));
}

std::int64_t tokens_of(const MediaEstimate::Picture& picture, ImageSize size) {
  if (picture.fixed > 0) {
    return picture.fixed;
  }
  return bounded(static_cast<double>(size.width) * size.height / static_cast<double>(picture.factor));
}

std::int64_t tokens_of(const MediaEstimate::Video& video, const VideoHints& hints) {
  const double seconds = hints.seconds > 0 ? hints.seconds : video.seconds;
  const double fps = hints.frames_per_second > 0 ? hints.frames_per_second : video.stride_fps;
  double frames = video.stride_fps > 0 ? std::ceil(seconds * fps / static_cast<double>(video.stride))
                                       : std::ceil(seconds * video.frames_per_second);
  frames = std::max(frames, static_cast<double>(std::max<std::int64_t>(video.least_frames, 1)));
  frames = video.most_frames > 0 ? std::min(frames, static_cast<double>(video.most_frames)) : frames;
  frames = video.stride_fps > 0 ? frames : std::ceil(frames / static_cast<double>(video.frames_at_once));
  const ImageSize size = hints.size.width > 0 ? hints.size : video.frame.size;
  const std::int64_t tokens = bounded(frames * static_cast<double>(tokens_of(video.frame, size)));
  return video.most_tokens > 0 ? std::min(tokens, video.most_tokens) : tokens;
}

std::int64_t tokens_of(const MediaContent& content, std::string_view text, const MediaEstimate& estimate,
                       const VideoHints& hints) {
  switch (content.modality) {
    case Modality::Image: {
      const bool sized = estimate.image.fixed == 0;
      const auto size = sized ? image_size_of_url(text) : std::nullopt;
      return tokens_of(estimate.image, size.value_or(estimate.image.size));
    }
    case Modality::Video:
      return tokens_of(estimate.video, hints);
    case Modality::Audio:
      return static_cast<std::int64_t>((text.size() + 3) / 4);
  }
  return 0;
}

// "1920x1080"; zeros when it is none.
ImageSize parse_resolution(std::string_view text) {
  const auto x = text.find_first_of("xX");
  if (x == std::string_view::npos) {
    return {};
  }
  const auto width = parse_integer(trim(text.substr(0, x)));
  const auto height = parse_integer(trim(text.substr(x + 1)));
  const auto fits = [](const auto& number) { return number && *number > 0 && *number <= 65535; };
  return fits(width) && fits(height)
             ? ImageSize{static_cast<std::uint32_t>(*width), static_cast<std::uint32_t>(*height)}
             : ImageSize{};
}

double positive(std::optional<std::string_view> text) {
  const auto number = text ? parse_number(trim(*text)) : std::nullopt;
  return number && *number > 0 && *number < 1e9 ? *number : 0;
}

}  // namespace

VideoHints read_video_hints(std::optional<std::string_view> seconds,
                            std::optional<std::string_view> frames_per_second,
                            std::optional<std::string_view> resolution) {
  return {.seconds = positive(seconds),
          .frames_per_second = positive(frames_per_second),
          .size = resolution ? parse_resolution(*resolution) : ImageSize()};
}

std::vector<MediaItem> media_items(const RequestScan& scan, std::string_view body,
                                   const MediaEstimate& estimate, const VideoHints& hints) {
  std::vector<MediaItem> items;
  for (const MediaContent& content : scan.media()) {
    if (content.end <= body.size() &&
        std::ranges::find(items, content.hash, &MediaItem::hash) == items.end()) {
      const std::string_view text = body.substr(content.begin, content.end - content.begin);
      items.push_back({content.hash, content.modality, tokens_of(content, text, estimate, hints)});
    }
  }
  return items;
}

std::int64_t estimated_tokens(const RequestScan& scan, std::span<const MediaItem> items) {
  std::int64_t tokens = scan.estimated_tokens();
  for (const MediaContent& content : scan.media()) {
    const auto item = std::ranges::find(items, content.hash, &MediaItem::hash);
    if (item != items.end()) {
      tokens += item->tokens - static_cast<std::int64_t>(RequestScan::kMediaBytes / 4);
    }
  }
  return std::max<std::int64_t>(tokens, 0);
}

}  // namespace llmd::openai
