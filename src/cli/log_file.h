// Sends the log of this process to a file for as long as the object lives; past 10 MiB the file becomes
// FILE.1.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/rotating_file.h"

namespace llmd::cli {

class LogFile {
 public:
  explicit LogFile(std::filesystem::path path);
  ~LogFile();
  LogFile(const LogFile&) = delete;

 private:
  void append(std::string_view line);

  RotatingFile file_;
};

}  // namespace llmd::cli
