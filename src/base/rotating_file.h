// A log file that never fills the disk: past `limit` bytes PATH becomes PATH.1 (replacing the one before) and
// a new PATH begins. Writing never fails: nobody could be told. One thread at a time.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

#include "base/file.h"

namespace llmd {

class RotatingFile {
 public:
  // Goes on at the end of a file that is there; made with mode 0600 otherwise.
  RotatingFile(std::filesystem::path path, std::size_t limit);

  // As one write, and never split between the two files.
  void append(std::string_view bytes);

 private:
  void open();

  std::filesystem::path path_;
  std::size_t limit_;
  FileDescriptor file_;
  std::size_t size_ = 0;
};

}  // namespace llmd
