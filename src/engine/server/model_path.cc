#include "engine/server/model_path.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include "base/file.h"
#include "base/strings.h"

namespace llmd::engine {
namespace {

namespace fs = std::filesystem;

fs::path hub_cache(const Environment& environment) {
  if (const auto cache = environment("HF_HUB_CACHE")) {
    return *cache;
  }
  if (const auto home = environment("HF_HOME")) {
    return fs::path(*home) / "hub";
  }
  return fs::path(environment("HOME").value_or("/root")) / ".cache/huggingface/hub";
}

// models--org--name/snapshots/<revision>, where refs/main names the revision.
std::optional<fs::path> cached_snapshot(const fs::path& cache, std::string_view org, std::string_view name) {
  const fs::path repository = cache / fmt::format("models--{}--{}", org, name);
  if (const auto revision = read_file(repository / "refs/main", 4096)) {
    const fs::path snapshot = repository / "snapshots" / std::string(trim(*revision));
    std::error_code ignored;
    if (fs::is_directory(snapshot, ignored)) {
      return snapshot;
    }
  }
  return std::nullopt;
}

// The number behind `key` in /proc/meminfo, in bytes.
std::uint64_t meminfo(std::string_view text, std::string_view key) {
  const std::size_t at = text.find(key);
  if (at == std::string_view::npos) {
    return std::numeric_limits<std::uint64_t>::max();
  }
  const std::string_view rest = trim(text.substr(at + key.size(), text.find('\n', at) - at - key.size()));
  return static_cast<std::uint64_t>(parse_integer(rest.substr(0, rest.find(' '))).value_or(0)) * 1024;
}

}  // namespace

Environment process_environment() {
  return [](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    return value == nullptr || *value == '\0' ? std::nullopt : std::optional(std::string(value));
  };
}

Result<fs::path> find_model(const std::string& model, const Environment& environment) {
  constexpr std::string_view kFile = "file://";
  const fs::path direct = model.starts_with(kFile) ? model.substr(kFile.size()) : model;
  std::error_code ignored;
  if (fs::exists(direct, ignored)) {
    return direct;
  }
  const std::vector<std::string_view> pieces = split(model, '/');
  if (pieces.size() == 2 && !pieces[0].empty() && pieces[0] != "." && pieces[0] != "..") {
    const fs::path cache = hub_cache(environment);
    if (auto snapshot = cached_snapshot(cache, pieces[0], pieces[1])) {
      return *snapshot;
    }
    return not_found("model '{}': neither a path nor in the cache {}", model, cache.native())
        .hint("nothing is downloaded here: use llmd fetch, or set HF_HUB_CACHE");
  }
  return not_found("model '{}': no such file or folder", model);
}

std::uint64_t available_memory(const fs::path& root) {
  std::uint64_t bytes = std::numeric_limits<std::uint64_t>::max();
  if (const auto text = read_file(root / "proc/meminfo", 1 << 20)) {
    bytes = meminfo(*text, "MemAvailable:");
  }
  for (const char* limit : {"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    if (const auto text = read_file(root / limit, 4096)) {
      const auto number = parse_integer(trim(*text));  // "max" is no number
      bytes = std::min(bytes, number ? static_cast<std::uint64_t>(*number) : bytes);
    }
  }
  return bytes;
}

}  // namespace llmd::engine
