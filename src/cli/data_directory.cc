#include "cli/data_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace llmd::cli {
namespace {

Result<std::filesystem::path> base_folder(const char* variable, const char* below_home) {
  if (const char* value = std::getenv(variable); value != nullptr && *value == '/') {
    return std::filesystem::path(value);
  }
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home != '/') {
    return failed_precondition("neither {} nor HOME is set", variable).hint("pass --data DIR");
  }
  return std::filesystem::path(home) / below_home;
}

Result<void> make_private_folder(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    return system_error(error.value(), "create " + path.string())
        .hint("pass --data DIR with a folder you may write to");
  }
  std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
  if (error) {
    return system_error(error.value(), "chmod " + path.string());
  }
  return {};
}

}  // namespace

Result<DataDirectory> DataDirectory::open(const std::string& given) {
  std::filesystem::path root = given;
  std::filesystem::path models = root / "models";
  if (given.empty()) {
    LLMD_TRY(root, base_folder("XDG_STATE_HOME", ".local/state"));
    root /= "llmd";
    LLMD_TRY(models, base_folder("XDG_CACHE_HOME", ".cache"));
    models = models / "llmd" / "models";
  }
  root = std::filesystem::absolute(root);
  LLMD_TRY_VOID(make_private_folder(root));
  LLMD_TRY_VOID(make_private_folder(root / "tls"));
  return DataDirectory(std::move(root), std::filesystem::absolute(models));
}

Result<FileDescriptor> DataDirectory::lock() const {
  const auto path = root_ / "lock";
  FileDescriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) {
    return system_error(errno, "open " + path.string());
  }
  if (::flock(file.number(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return failed_precondition("{}: another llmd is running on this data directory", root_.string());
    }
    return system_error(errno, "lock " + path.string());
  }
  return file;
}

}  // namespace llmd::cli
