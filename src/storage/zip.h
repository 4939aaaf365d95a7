// Reads zip archives that lie in memory (a mapped file): the central directory and single members. Written
// for wheels from the network, so every offset and length is checked before it is used. No encryption, no
// split archives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace llmd::storage {

struct ZipEntry {
  std::string name;
  std::uint16_t method = 0;  // 0 stored, 8 deflated
  std::uint16_t flags = 0;
  std::uint32_t crc32 = 0;
  std::uint64_t compressed_size = 0;
  std::uint64_t size = 0;
  std::uint64_t header_offset = 0;
};

// Every entry in the order of the directory; zip64 is understood. DataLoss when the bytes are no complete zip
// archive.
Result<std::vector<ZipEntry>> read_zip_directory(std::span<const std::byte> archive);

// Gives the member's content to `sink` piece by piece and stops at its first error. DataLoss when size or CRC
// differ from the directory; never more than the directory's size is given out.
using ByteSink = std::function<Result<void>(std::string_view bytes)>;
Result<void> extract_zip_entry(std::span<const std::byte> archive, const ZipEntry& entry,
                               const ByteSink& sink);

}  // namespace llmd::storage
