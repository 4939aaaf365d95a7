#include "engine/kernels/cores.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/strings.h"

namespace llmd::engine {
namespace {

constexpr std::size_t kSmallFile = 64 * 1024;

std::optional<double> number_in(const std::filesystem::path& path) {
  const auto text = read_file(path, kSmallFile);
  return text ? parse_number(trim(*text)) : std::nullopt;
}

// Version 2 writes "QUOTA PERIOD" or "max PERIOD" into cpu.max.
std::optional<double> quota_v2(const std::filesystem::path& folder) {
  const auto text = read_file(folder / "cpu.max", kSmallFile);
  if (!text) {
    return std::nullopt;
  }
  const auto words = split(trim(*text), ' ');
  if (words.size() != 2) {
    return std::nullopt;
  }
  const auto quota = parse_number(words[0]);
  const auto period = parse_number(words[1]);
  return quota && period && *period > 0 ? std::optional(*quota / *period) : std::nullopt;
}

std::optional<double> quota_v1(const std::filesystem::path& folder) {
  const auto quota = number_in(folder / "cpu.cfs_quota_us");
  const auto period = number_in(folder / "cpu.cfs_period_us");
  return quota && period && *quota > 0 && *period > 0 ? std::optional(*quota / *period) : std::nullopt;
}

// A limit may stand on the process's own group or on any above it. Inside a container the group's own path is
// often not visible and the mount point itself is the group: the walk ends there.
double smallest_quota(const std::filesystem::path& mount, std::string_view group,
                      std::optional<double> (*quota)(const std::filesystem::path&)) {
  double smallest = std::numeric_limits<double>::infinity();
  auto relative = std::filesystem::path(group).relative_path();
  for (;;) {
    if (const auto limit = quota(mount / relative)) {
      smallest = std::min(smallest, *limit);
    }
    if (relative.empty()) {
      return smallest;
    }
    relative = relative.parent_path();
  }
}

double group_quota(const std::filesystem::path& root) {
  double smallest = std::numeric_limits<double>::infinity();
  const auto groups = read_file(root / "proc/self/cgroup", kSmallFile);
  if (!groups) {
    return smallest;
  }
  for (const std::string_view line : split(*groups, '\n')) {
    // hierarchy:controllers:path
    const auto parts = split(line, ':');
    if (parts.size() < 3) {
      continue;
    }
    if (parts[1].empty()) {
      smallest = std::min(smallest, smallest_quota(root / "sys/fs/cgroup", parts[2], quota_v2));
    } else if (parts[1].find("cpu") != std::string_view::npos && parts[1] != "cpuset") {
      smallest = std::min(smallest, smallest_quota(root / "sys/fs/cgroup/cpu", parts[2], quota_v1));
    }
  }
  return smallest;
}

int affinity_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

}  // namespace

int usable_cores(const std::filesystem::path& root) {
  const double quota = std::ceil(group_quota(root));
  const int cores = affinity_cores();
  return std::max(1, quota < cores ? static_cast<int>(quota) : cores);
}

}  // namespace llmd::engine
