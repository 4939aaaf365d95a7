#include "bench/process_tree.h"

#include <sys/resource.h>
#include <unistd.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/strings.h"

namespace llmd::bench {
namespace {

namespace fs = std::filesystem;

struct Stat {
  pid_t parent = 0;
  long long ticks = 0;
  long long rss_pages = 0;
};

// The command in parentheses may itself contain blanks and parentheses: the last ')' ends it.
std::optional<Stat> parse_stat(std::string_view text) {
  const std::size_t close = text.rfind(')');
  if (close == std::string_view::npos || close + 2 > text.size()) {
    return std::nullopt;
  }
  const auto fields = split(trim(text.substr(close + 2)), ' ');  // from field 3, the state
  if (fields.size() < 22) {
    return std::nullopt;
  }
  Stat stat;
  stat.parent = static_cast<pid_t>(parse_integer(fields[1]).value_or(0));
  for (const std::size_t field : {11U, 12U, 13U, 14U}) {  // utime, stime, cutime, cstime
    stat.ticks += parse_integer(fields[field]).value_or(0);
  }
  stat.rss_pages = parse_integer(fields[21]).value_or(0);
  return stat;
}

std::map<pid_t, Stat> read_all(const fs::path& proc) {
  std::map<pid_t, Stat> all;
  std::error_code error;
  for (fs::directory_iterator entries(proc, error), end; !error && entries != end; entries.increment(error)) {
    const auto pid = parse_integer(entries->path().filename().string());
    const auto text = pid ? read_file(entries->path() / "stat", 4096) : std::unexpected(Error{});
    if (const auto stat = text ? parse_stat(*text) : std::nullopt) {
      all.emplace(static_cast<pid_t>(*pid), *stat);
    }
  }
  return all;
}

bool descends_from(const std::map<pid_t, Stat>& all, pid_t pid, pid_t root) {
  for (std::size_t steps = 0; steps < all.size() && pid != root; ++steps) {
    const auto found = all.find(pid);
    if (found == all.end()) {
      return false;
    }
    pid = found->second.parent;
  }
  return pid == root;
}

std::uint64_t pss_of(const fs::path& process) {
  const auto text = read_file(process / "smaps_rollup", std::size_t{64} << 10);
  if (!text) {
    return 0;
  }
  for (std::string_view line : split(*text, '\n')) {
    if (line.starts_with("Pss:")) {
      line = trim(line.substr(4));
      return static_cast<std::uint64_t>(parse_integer(line.substr(0, line.find(' '))).value_or(0)) * 1024;
    }
  }
  return 0;
}

}  // namespace

Result<TreeUsage> read_tree_usage(pid_t root, const fs::path& proc) {
  const auto all = read_all(proc);
  if (!all.contains(root)) {
    return not_found("no process {}", root);
  }
  static const long kTicksPerSecond = ::sysconf(_SC_CLK_TCK);
  static const long kPageBytes = ::sysconf(_SC_PAGESIZE);
  TreeUsage usage;
  for (const auto& [pid, stat] : all) {
    if (descends_from(all, pid, root)) {
      ++usage.processes;
      usage.cpu += std::chrono::nanoseconds(stat.ticks * (1'000'000'000 / kTicksPerSecond));
      usage.rss_bytes += static_cast<std::uint64_t>(stat.rss_pages * kPageBytes);
      usage.pss_bytes += pss_of(proc / std::to_string(pid));
    }
  }
  return usage;
}

Duration own_cpu_time() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto time = [](const timeval& value) {
    return std::chrono::seconds(value.tv_sec) + std::chrono::microseconds(value.tv_usec);
  };
  return time(usage.ru_utime) + time(usage.ru_stime);
}

}  // namespace llmd::bench
