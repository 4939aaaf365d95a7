// A container's log file as `kubectl logs` reads it: from the end, from a line, and on while it grows. Reads
// are small and come from the page cache, so they are done on the loop.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "base/result.h"

namespace llmd::apiserver {

class LogFile {
 public:
  static Result<LogFile> open(const std::filesystem::path& path);

  // The next reads give the last `lines` lines.
  Result<void> skip_to_last_lines(std::int64_t lines);
  // At most 64 KiB; empty at the end as of now. A file that was cut short is read from its new beginning.
  Result<std::string> next();
  // True when the path no longer names this file: the container was restarted and writes elsewhere.
  bool was_replaced() const;
  // When the file was written last.
  std::int64_t modified_seconds() const;

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
  std::uint64_t inode_ = 0;
  std::int64_t offset_ = 0;
};

}  // namespace llmd::apiserver
