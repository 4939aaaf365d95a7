#include "base/rotating_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <system_error>
#include <utility>

namespace llmd {

RotatingFile::RotatingFile(std::filesystem::path path, std::size_t limit)
    : path_(std::move(path)), limit_(limit) {
  open();
}

void RotatingFile::append(std::string_view bytes) {
  if (size_ > 0 && size_ + bytes.size() > limit_) {
    std::error_code ignored;
    std::filesystem::rename(path_, path_.string() + ".1", ignored);
    open();
  }
  const ssize_t written = ::write(file_.number(), bytes.data(), bytes.size());
  size_ += written > 0 ? static_cast<std::size_t>(written) : 0;
}

void RotatingFile::open() {
  file_.reset(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const off_t end = file_ ? ::lseek(file_.number(), 0, SEEK_END) : 0;
  size_ = end > 0 ? static_cast<std::size_t>(end) : 0;
}

}  // namespace llmd
