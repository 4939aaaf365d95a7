#include <sys/stat.h>

#include "base/file.h"
#include "base/strings.h"
#include "crypto/random.h"
#include "gateway/admin.h"

namespace llmd::gateway {

Result<std::string> read_or_make_token(const std::filesystem::path& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    const std::string token = crypto::random_hex(32);
    LLMD_TRY_VOID(write_file_atomically(path, token + "\n", 0600));
    return token;
  }
  if ((status.st_mode & 077) != 0) {
    return Error{ErrorKind::PermissionDenied, fmt::format("{}: others may read it", path.string()),
                 "chmod 600, and change the token"};
  }
  LLMD_TRY(const auto text, read_file(path, 4096));
  std::string token(trim(text));
  if (token.empty()) {
    return invalid_argument("{}: the token is empty", path.string());
  }
  return token;
}

}  // namespace llmd::gateway
