#include "apiserver/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace llmd::apiserver {

namespace {

constexpr std::int64_t kChunk = 64 * 1024;

}  // namespace

Result<LogFile> LogFile::open(const std::filesystem::path& path) {
  LogFile log;
  log.path_ = path;
  log.file_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat about{};
  if (!log.file_ || ::fstat(log.file_.number(), &about) != 0) {
    return system_error(errno, "open " + path.string());
  }
  if (!S_ISREG(about.st_mode)) {
    return invalid_argument("{}: not a regular file", path.string());
  }
  log.inode_ = about.st_ino;
  return log;
}

Result<void> LogFile::skip_to_last_lines(std::int64_t lines) {
  struct stat about{};
  if (::fstat(file_.number(), &about) != 0) {
    return system_error(errno, "stat " + path_.string());
  }
  std::int64_t end = about.st_size;
  std::string buffer(static_cast<std::size_t>(kChunk), '\0');
  std::int64_t left = lines;
  bool at_file_end = true;
  offset_ = end;
  while (end > 0 && lines > 0) {
    const std::int64_t start = std::max<std::int64_t>(0, end - kChunk);
    const ssize_t got = ::pread(file_.number(), buffer.data(), static_cast<std::size_t>(end - start), start);
    if (got < 0) {
      return system_error(errno, "read " + path_.string());
    }
    for (ssize_t i = got - 1; i >= 0; --i) {
      // The newline that ends the last line begins no further one.
      const bool counts = buffer[static_cast<std::size_t>(i)] == '\n' && !(at_file_end && i == got - 1);
      if (counts && --left == 0) {
        offset_ = start + i + 1;
        return {};
      }
    }
    at_file_end = false;
    end = start;
  }
  offset_ = lines > 0 ? 0 : about.st_size;
  return {};
}

Result<std::string> LogFile::next() {
  struct stat about{};
  if (::fstat(file_.number(), &about) == 0 && about.st_size < offset_) {
    offset_ = 0;
  }
  std::string buffer(static_cast<std::size_t>(kChunk), '\0');
  const ssize_t got = ::pread(file_.number(), buffer.data(), buffer.size(), offset_);
  if (got < 0) {
    return system_error(errno, "read " + path_.string());
  }
  buffer.resize(static_cast<std::size_t>(got));
  offset_ += got;
  return buffer;
}

bool LogFile::was_replaced() const {
  struct stat about{};
  return ::stat(path_.c_str(), &about) != 0 || about.st_ino != inode_;
}

std::int64_t LogFile::modified_seconds() const {
  struct stat about{};
  return ::fstat(file_.number(), &about) == 0 ? about.st_mtim.tv_sec : 0;
}

}  // namespace llmd::apiserver
