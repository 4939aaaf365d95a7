#include "openai/image_size.h"

#include <algorithm>

#include "crypto/encode.h"

namespace llmd::openai {
namespace {

constexpr std::size_t kMostOfUrl = 64 * 1024;  // of base64: enough for the previews that cameras put first

std::uint32_t byte_at(std::string_view file, std::size_t at) {
  return static_cast<unsigned char>(file[at]);
}
std::uint32_t big_endian_16(std::string_view file, std::size_t at) {
  return byte_at(file, at) << 8 | byte_at(file, at + 1);
}
std::uint32_t little_endian_16(std::string_view file, std::size_t at) {
  return byte_at(file, at) | byte_at(file, at + 1) << 8;
}
std::uint32_t big_endian_32(std::string_view file, std::size_t at) {
  return big_endian_16(file, at) << 16 | big_endian_16(file, at + 2);
}

// Segments follow each other; the size stands in the first one that begins a frame (ITU T.81, B.2.2).
std::optional<ImageSize> jpeg_size(std::string_view file) {
  std::size_t at = 2;
  while (at + 9 <= file.size() && byte_at(file, at) == 0xff) {
    const std::uint32_t marker = byte_at(file, at + 1);
    if (marker == 0xff) {  // a fill byte
      ++at;
      continue;
    }
    const bool frame = marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
    if (frame) {
      return ImageSize{big_endian_16(file, at + 7), big_endian_16(file, at + 5)};
    }
    at += 2 + std::max<std::size_t>(big_endian_16(file, at + 2), 2);
  }
  return std::nullopt;
}

}  // namespace

std::optional<ImageSize> image_size(std::string_view file) {
  std::optional<ImageSize> size;
  if (file.starts_with("\x89PNG\r\n\x1a\n") && file.size() >= 24) {
    size = ImageSize{big_endian_32(file, 16), big_endian_32(file, 20)};
  } else if ((file.starts_with("GIF87a") || file.starts_with("GIF89a")) && file.size() >= 10) {
    size = ImageSize{little_endian_16(file, 6), little_endian_16(file, 8)};
  } else if (file.starts_with("\xff\xd8\xff")) {
    size = jpeg_size(file);
  }
  return size && size->width > 0 && size->height > 0 ? size : std::nullopt;
}

std::optional<ImageSize> image_size_of_url(std::string_view url) {
  constexpr std::string_view kBase64 = ";base64,";
  std::size_t begin = 0;
  if (url.substr(0, 16).contains(':')) {  // which base64 has not
    const std::size_t found = url.substr(0, 128).find(kBase64);
    if (!url.starts_with("data:") || found == std::string_view::npos) {
      return std::nullopt;
    }
    begin = found + kBase64.size();
  }
  std::string_view data = url.substr(begin, kMostOfUrl);
  data = data.substr(0, data.size() / 4 * 4);  // whole groups decode alone
  const auto file = crypto::from_base64(data);
  return file ? image_size(*file) : std::nullopt;
}

}  // namespace llmd::openai
