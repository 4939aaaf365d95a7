// Sends the log of this process to a file for as long as the object lives; past 10 MiB the file becomes
// FILE.1.
#pragma once

#include <filesystem>

#include "base/file.h"

namespace llmd::cli {

class LogFile {
 public:
  explicit LogFile(std::filesystem::path path);
  ~LogFile();
  LogFile(const LogFile&) = delete;

 private:
  void append(std::string_view line);

  std::filesystem::path path_;
  FileDescriptor file_;
  std::size_t size_ = 0;
};

}  // namespace llmd::cli
