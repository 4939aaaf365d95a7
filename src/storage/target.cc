#include "storage/target.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <boost/describe.hpp>
#include <cerrno>

#include "base/strings.h"
#include "crypto/encode.h"
#include "json/codec.h"

namespace llmd::storage {

BOOST_DESCRIBE_STRUCT(FetchRecord, (), (uri, sha256, size))

namespace {

constexpr std::size_t kMaxRecordBytes = std::size_t{64} << 10;

bool same_file(int fd, const std::filesystem::path& path) {
  struct stat held{};
  struct stat named{};
  return ::fstat(fd, &held) == 0 && ::stat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino &&
         held.st_dev == named.st_dev;
}

}  // namespace

Error disk_error(int error_number, const std::filesystem::path& path) {
  const std::string directory = path.parent_path().string();
  if (error_number == ENOSPC || error_number == EDQUOT) {
    return resource_exhausted("{}: the disk is full", path.string())
        .hint(fmt::format("free some space in {} or choose another folder", directory));
  }
  if (error_number == EFBIG) {
    return resource_exhausted("{}: larger than files may be here", path.string()).hint("see ulimit -f");
  }
  if (error_number == EACCES || error_number == EROFS) {
    return permission_denied("{}: may not be written", path.string())
        .hint(fmt::format("choose a folder that user {} may write to", ::getuid()));
  }
  return system_error(error_number, path.string());
}

Target::Target(std::filesystem::path directory, std::string name, std::string uri)
    : directory_(std::move(directory)),
      name_(std::move(name)),
      uri_(std::move(uri)),
      path_(directory_ / name_),
      part_(hidden("part")) {}

Target::~Target() {
  if (lock_) {
    ::unlink(hidden("lock").c_str());  // while it is held: whoever waits on this inode looks again
  }
}

std::filesystem::path Target::hidden(std::string_view suffix) const {
  return directory_ / fmt::format(".{}.{}", name_, suffix);
}

Result<Target> Target::open(const std::filesystem::path& directory, std::string name, std::string uri) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return disk_error(error.value(), directory);
  }
  return Target(directory, std::move(name), std::move(uri));
}

Result<bool> Target::try_lock() {
  const std::filesystem::path path = hidden("lock");
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!file) {
    return disk_error(errno, path);
  }
  if (::flock(file.number(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return false;
    }
    return system_error(errno, fmt::format("locking {}", path.string()));
  }
  if (!same_file(file.number(), path)) {
    return false;  // its holder removed it meanwhile; the next try makes a new one
  }
  lock_ = std::move(file);
  return true;
}

std::optional<FetchRecord> Target::finished() const {
  struct stat file{};
  if (::stat(path_.c_str(), &file) != 0 || !S_ISREG(file.st_mode)) {
    return std::nullopt;
  }
  const auto text = read_file(hidden("fetched"), kMaxRecordBytes);
  const auto value = text ? json::parse(*text) : std::unexpected(text.error());
  auto record = value ? json::decode<FetchRecord>(*value) : std::unexpected(value.error());
  if (!record || record->uri != uri_ || record->size != static_cast<std::uint64_t>(file.st_size)) {
    return std::nullopt;
  }
  return std::move(*record);
}

Result<void> Target::publish(const FetchRecord& record) {
  if (::rename(part_.c_str(), path_.c_str()) != 0) {
    return std::unexpected(disk_error(errno, path_));
  }
  discard_part();  // rename does nothing when both names are links to one file
  // The record comes second: without it the file is only fetched again, a record without its file would be a
  // lie.
  auto written = write_file_atomically(hidden("fetched"), json::write(json::encode(record)) + "\n");
  if (!written) {
    return std::unexpected(std::move(written).error().within("recording what was fetched"));
  }
  return {};
}

void Target::discard_part() {
  ::unlink(part_.c_str());
}

Result<void> Target::check_space(std::uint64_t bytes) const {
  struct statvfs space{};
  if (::statvfs(directory_.c_str(), &space) != 0) {
    return {};  // the write itself will tell
  }
  const std::uint64_t free_bytes = std::uint64_t{space.f_bavail} * space.f_frsize;
  if (bytes > free_bytes) {
    return std::unexpected(resource_exhausted("{}: {} are needed, {} are free", directory_.string(),
                                              human_bytes(bytes), human_bytes(free_bytes))
                               .hint("free some space or choose another folder"));
  }
  return {};
}

Result<PartFile> PartFile::open(const std::filesystem::path& path, bool keep) {
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | (keep ? 0 : O_TRUNC), 0644));
  if (!file) {
    return disk_error(errno, path);
  }
  PartFile part(path, std::move(file));
  LLMD_TRY_VOID(part.hash_existing());
  return part;
}

Result<void> PartFile::hash_existing() {
  std::string buffer(std::size_t{1} << 20, '\0');
  while (true) {
    const ssize_t got = ::read(file_.number(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return std::unexpected(disk_error(errno, path_));
    }
    if (got == 0) {
      return {};
    }
    hash_.update({buffer.data(), static_cast<std::size_t>(got)});
    size_ += static_cast<std::uint64_t>(got);
  }
}

Result<void> PartFile::write(std::string_view bytes) {
  hash_.update(bytes);
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_.number(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written < 0) {
      return std::unexpected(disk_error(errno, path_));
    }
    size_ += static_cast<std::uint64_t>(written);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> PartFile::restart() {
  if (::ftruncate(file_.number(), 0) != 0 || ::lseek(file_.number(), 0, SEEK_SET) != 0) {
    return std::unexpected(disk_error(errno, path_));
  }
  hash_ = crypto::Sha256();
  size_ = 0;
  return {};
}

Result<std::string> PartFile::finish() {
  if (::fsync(file_.number()) != 0) {
    return disk_error(errno, path_);
  }
  return crypto::to_hex(hash_.finish());
}

}  // namespace llmd::storage
