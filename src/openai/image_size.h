// How large a picture is, from the first bytes of its file. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace llmd::openai {

struct ImageSize {
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  bool operator==(const ImageSize&) const = default;
};

// Of a PNG, JPEG or GIF; nullopt: it is none of them, or its size stands further back.
std::optional<ImageSize> image_size(std::string_view file);

// Of "data:image/…;base64,…" or the base64 alone; nullopt: as above, or neither. Looks at no more than 64 KiB
// of it.
std::optional<ImageSize> image_size_of_url(std::string_view url);

}  // namespace llmd::openai
