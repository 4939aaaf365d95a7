// `llmd fetch URI DIR`, and the form the node uses: `llmd fetch --cache CACHE URI DIR…`, which fetches every
// model once for all pods and links it into the pod's folder.
#include <filesystem>

#include "cli/command.h"
#include "crypto/encode.h"
#include "crypto/hash.h"
#include "storage/command.h"
#include "storage/uri.h"

namespace llmd::cli {
namespace {

// Readable and unmistakable: the file's name and a hash of the whole URI.
Result<std::filesystem::path> cache_folder(const std::filesystem::path& cache, const std::string& uri) {
  LLMD_TRY(const auto parsed, storage::parse_uri(uri));
  return cache / fmt::format("{}-{}", parsed.file_name(), crypto::to_hex(crypto::sha256(uri)).substr(0, 16));
}

Result<void> link_entries(const std::filesystem::path& from, const std::filesystem::path& into) {
  std::error_code error;
  std::filesystem::create_directories(into, error);
  for (const auto& entry : std::filesystem::directory_iterator(from, error)) {
    const auto name = entry.path().filename();
    if (name.string().starts_with('.')) {
      continue;  // the fetcher's own records and locks
    }
    std::filesystem::remove(into / name, error);
    std::filesystem::create_symlink(entry.path(), into / name, error);
    if (error) {
      return system_error(error.value(), "link " + (into / name).string());
    }
  }
  return error ? Result<void>(system_error(error.value(), "read " + from.string())) : Result<void>();
}

Result<int> fetch_through_cache(const std::filesystem::path& cache, Arguments pairs) {
  if (pairs.empty() || pairs.size() % 2 != 0) {
    return invalid_argument("--cache takes pairs of URI and folder").hint("llmd fetch --cache CACHE URI DIR");
  }
  for (std::size_t i = 0; i < pairs.size(); i += 2) {
    LLMD_TRY(const auto folder, cache_folder(cache, pairs[i]));
    const std::vector<std::string> arguments{pairs[i], folder.string()};
    LLMD_TRY_VOID(storage::run_fetch(arguments));
    LLMD_TRY_VOID(link_entries(folder, pairs[i + 1]));
  }
  return 0;
}

}  // namespace

Result<int> run_fetch(Arguments arguments) {
  if (arguments.size() >= 2 && arguments[0] == "--cache") {
    return fetch_through_cache(arguments[1], arguments.subspan(2));
  }
  if (!arguments.empty() && (arguments[0] == "--help" || arguments[0] == "-h")) {
    fmt::print(
        "Downloads a model into a folder; what is there already stays, what broke off is resumed.\n\n{}\n",
        storage::fetch_usage());
    return 0;
  }
  LLMD_TRY_VOID(storage::run_fetch(arguments));
  return 0;
}

}  // namespace llmd::cli
