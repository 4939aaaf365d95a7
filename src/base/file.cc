#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace llmd {
namespace {

Result<void> write_all(int fd, std::string_view content, const std::string& name) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0) {
      if (errno == EINTR) {
        continue;
      }
      return system_error(errno, "write " + name);
    }
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

void FileDescriptor::reset(int fd) {
  if (fd_ >= 0) {
    ::close(fd_);
  }
  fd_ = fd;
}

Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    return system_error(errno, "open " + path.string());
  }
  std::string content;
  char buffer[65536];
  for (;;) {
    const ssize_t count = ::read(file.number(), buffer, sizeof buffer);
    if (count < 0) {
      if (errno == EINTR) {
        continue;
      }
      return system_error(errno, "read " + path.string());
    }
    if (count == 0) {
      return content;
    }
    if (content.size() + static_cast<std::size_t>(count) > limit) {
      return resource_exhausted("{}: larger than the limit of {} bytes", path.string(), limit);
    }
    content.append(buffer, static_cast<std::size_t>(count));
  }
}

Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view content,
                                   unsigned mode) {
  std::string temporary = path.string() + ".XXXXXX";
  const FileDescriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!file) {
    return system_error(errno, "create " + temporary);
  }
  const auto give_up = [&](Error error) -> Result<void> {
    ::unlink(temporary.c_str());
    return error;
  };
  if (::fchmod(file.number(), mode) != 0) {
    return give_up(system_error(errno, "chmod " + temporary));
  }
  if (auto written = write_all(file.number(), content, temporary); !written) {
    return give_up(std::move(written).error());
  }
  if (::fsync(file.number()) != 0) {
    return give_up(system_error(errno, "fsync " + temporary));
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    return give_up(system_error(errno, "rename to " + path.string()));
  }
  return {};
}

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    return system_error(errno, "open " + path.string());
  }
  struct stat status{};
  if (::fstat(file.number(), &status) != 0) {
    return system_error(errno, "stat " + path.string());
  }
  if (!S_ISREG(status.st_mode)) {
    return invalid_argument("{}: not a regular file", path.string());
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) {
    return MappedFile(nullptr, 0);
  }
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.number(), 0);
  if (data == MAP_FAILED) {
    return system_error(errno, "mmap " + path.string());
  }
  return MappedFile(static_cast<const std::byte*>(data), size);
}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) {
    ::munmap(const_cast<std::byte*>(data_), size_);
  }
}

}  // namespace llmd
