// One verified file out of a Python wheel.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "storage/zip.h"

namespace llmd::storage {

// What a wheel's RECORD says about one of its files.
struct WheelRecord {
  std::string sha256;  // 64 hexadecimal digits
  std::optional<std::uint64_t> size;
};

// The line of `member` in the text of a RECORD (CSV: path, "sha256=" and URL-safe base64, size). NotFound
// without a line, DataLoss when the line has no SHA-256.
Result<WheelRecord> find_in_record(std::string_view record, std::string_view member);

// Streams the member to `sink` and compares it with the wheel's RECORD; after DataLoss what went to the sink
// is worthless. NotFound names the nearest member. Returns the SHA-256 in hexadecimal.
Result<std::string> extract_from_wheel(const std::filesystem::path& wheel, std::string_view member,
                                       const ByteSink& sink);

}  // namespace llmd::storage
