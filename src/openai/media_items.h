// The images, videos and sounds of a request, each with about as many tokens as an engine makes of it: what
// llm-d's token-producer estimates where no engine is asked (its `estimate` parameters). Pure.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "openai/image_size.h"
#include "openai/request_scan.h"

namespace llmd::openai {

struct MediaEstimate {
  // Tokens of one picture, or of one frame: width·height / factor, or a fixed number.
  struct Picture {
    ImageSize size = {640, 360};  // where the picture does not say
    std::int64_t factor = 1024;
    std::int64_t fixed = 0;  // 0: by the size
  };
  struct Video {
    Picture frame;
    double seconds = 10;              // where the request does not say
    double frames_per_second = 2;     // that are looked at
    std::int64_t frames_at_once = 1;  // that become one
    std::int64_t least_frames = 0;
    std::int64_t most_frames = 0;  // 0: no limit
    double stride_fps = 0;         // of the video; above 0: every stride-th frame is looked at instead
    std::int64_t stride = 1;
    std::int64_t most_tokens = 0;  // 0: no limit
  };
  Picture image;
  Video video;
};

// What a request's headers say of its videos; 0: nothing.
struct VideoHints {
  double seconds = 0;            // x-llm-d-video-duration-seconds
  double frames_per_second = 0;  // x-llm-d-video-fps: of the video itself
  ImageSize size;                // x-llm-d-video-resolution
};
// Of the headers' values; what makes no sense counts as absent.
VideoHints read_video_hints(std::optional<std::string_view> seconds,
                            std::optional<std::string_view> frames_per_second,
                            std::optional<std::string_view> resolution);

// Each content once, in the body's order. `body` is the one that was scanned.
std::vector<MediaItem> media_items(const RequestScan& scan, std::string_view body,
                                   const MediaEstimate& estimate = {}, const VideoHints& hints = {});

// Of the whole prompt, with its items as they are instead of as the scan takes them.
std::int64_t estimated_tokens(const RequestScan& scan, std::span<const MediaItem> items);

}  // namespace llmd::openai
