// file://: hard links where the file system allows, else copies that share blocks where it can.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "storage/sources.h"

namespace llmd::storage {
namespace {

Error source_error(int error_number, const std::filesystem::path& path) {
  Error error = system_error(error_number, path.string());
  if (error.kind == ErrorKind::NotFound) {
    error.advice = "the path of a file:// URI is a path on this machine";
  }
  return error;
}

// For file systems that cannot copy inside the kernel.
Result<void> copy_by_hand(int in, const std::filesystem::path& from, const std::filesystem::path& to) {
  LLMD_TRY(PartFile out, PartFile::open(to, false));
  std::string buffer(std::size_t{1} << 20, '\0');
  while (true) {
    const ssize_t got = ::read(in, buffer.data(), buffer.size());
    if (got == 0) {
      return {};
    }
    if (got < 0 && errno != EINTR) {
      return std::unexpected(source_error(errno, from));
    }
    LLMD_TRY_VOID(out.write({buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))}));
  }
}

// A copy keeps the time of its source, by which it is recognised next time.
Result<void> keep_time(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::error_code error;
  const auto time = std::filesystem::last_write_time(from, error);
  if (!error) {
    std::filesystem::last_write_time(to, time, error);
  }
  return error ? Result<void>(std::unexpected(disk_error(error.value(), to))) : Result<void>();
}

Result<void> copy_bytes(const std::filesystem::path& from, const std::filesystem::path& to) {
  const FileDescriptor in(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in) {
    return std::unexpected(source_error(errno, from));
  }
  const FileDescriptor out(::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!out) {
    return std::unexpected(disk_error(errno, to));
  }
  while (true) {
    const ssize_t copied =
        ::copy_file_range(in.number(), nullptr, out.number(), nullptr, std::size_t{64} << 20, 0);
    if (copied == 0) {
      return {};
    }
    if (copied < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) {
      ::lseek(in.number(), 0, SEEK_SET);
      return copy_by_hand(in.number(), from, to);
    }
    if (copied < 0 && errno != EINTR) {
      return std::unexpected(disk_error(errno, to));
    }
  }
}

// Leaves no half copy.
Result<void> copy_whole(const std::filesystem::path& from, const std::filesystem::path& to) {
  auto copied = copy_bytes(from, to);
  if (copied) {
    copied = keep_time(from, to);
  }
  if (!copied) {
    ::unlink(to.c_str());
  }
  return copied;
}

// Leaves `to` as another name of the same bytes, or as a copy of them; replaces what was there.
Result<void> link_or_copy(const std::filesystem::path& from, const std::filesystem::path& to) {
  ::unlink(to.c_str());
  // Follows a symbolic link: the target must not depend on where it points to tomorrow.
  if (::linkat(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) == 0) {
    return {};
  }
  if (errno == ENOENT || errno == ENOTDIR) {
    return std::unexpected(source_error(errno, from));
  }
  return copy_whole(from, to);  // another file system, a protected file, or one without hard links
}

}  // namespace

bool is_linked(const std::filesystem::path& from, const std::filesystem::path& to) {
  std::error_code error;
  if (std::filesystem::equivalent(from, to, error)) {
    return true;
  }
  const auto from_size = std::filesystem::file_size(from, error);
  if (error || std::filesystem::file_size(to, error) != from_size || error) {
    return false;
  }
  const auto from_time = std::filesystem::last_write_time(from, error);
  return !error && std::filesystem::last_write_time(to, error) == from_time && !error;
}

Result<void> link_folder(const std::filesystem::path& from, const std::filesystem::path& to) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::create_directories(to, error);
  if (error) {
    return std::unexpected(disk_error(error.value(), to));
  }
  if (fs::equivalent(from, to, error)) {
    return {};
  }
  for (fs::directory_iterator entries(from, error), end; !error && entries != end; entries.increment(error)) {
    const fs::path target = to / entries->path().filename();
    if (entries->path().filename() == ".folder.lock") {
      continue;  // the source was itself fetched
    }
    if (entries->is_directory(error)) {
      LLMD_TRY_VOID(link_folder(entries->path(), target));
      continue;
    }
    if (is_linked(entries->path(), target)) {
      continue;
    }
    // Finished under a hidden name first, so that nobody sees half a copy.
    const fs::path part = to / fmt::format(".{}.part", target.filename().string());
    LLMD_TRY_VOID(link_or_copy(entries->path(), part));
    if (::rename(part.c_str(), target.c_str()) != 0) {
      return std::unexpected(disk_error(errno, target));
    }
    ::unlink(part.c_str());  // rename does nothing when both names are the same file already
  }
  if (error) {
    return std::unexpected(source_error(error.value(), from));
  }
  return {};
}

Task<Result<FetchRecord>> fetch_file(FetchJob& job, FileSource source) {
  struct stat file{};
  if (::stat(source.path.c_str(), &file) != 0) {
    co_return source_error(errno, source.path);
  }
  if (!S_ISREG(file.st_mode)) {
    co_return invalid_argument("{}: neither a file nor a folder", source.path.string());
  }
  const auto size = static_cast<std::uint64_t>(file.st_size);
  job.report(Progress::Step::Copying, 0, size);
  const auto work = [from = source.path, to = job.target.part_path()] { return link_or_copy(from, to); };
  LLMD_CO_TRY_VOID(co_await job.worker.run(work));
  job.report(Progress::Step::Copying, size, size);
  co_return FetchRecord{.size = size};
}

}  // namespace llmd::storage
