// Images, videos and sounds of a request: where they stand in its body, what they are, and how much of the
// engine's work they are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace llmd::openai {

enum class Modality : std::uint8_t { Image, Video, Audio };
inline constexpr std::size_t kModalities = 3;

constexpr std::string_view name_of(Modality modality) {
  return modality == Modality::Image ? "image" : modality == Modality::Video ? "video" : "audio";
}

// A content as it stands in a body: the text between the quotes of a URL or of base64 data.
struct MediaContent {
  Modality modality = Modality::Image;
  std::uint64_t hash = 0;  // of that text: the same picture in another request has the same one
  std::size_t begin = 0;   // in the body
  std::size_t end = 0;
};

// One of a request's items, and about how many tokens of the prompt stand for it.
struct MediaItem {
  std::uint64_t hash = 0;
  Modality modality = Modality::Image;
  std::int64_t tokens = 0;
};

}  // namespace llmd::openai
