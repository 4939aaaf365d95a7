// CPU time and memory of a process and all its descendants, from /proc.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>

#include "base/clock.h"
#include "base/result.h"

namespace llmd::bench {

struct TreeUsage {
  Duration cpu{};               // user and system, ended children that were waited for included
  std::uint64_t rss_bytes = 0;  // shared pages counted in every process
  std::uint64_t pss_bytes = 0;  // shared pages divided among their users; 0 where the kernel does not tell
  int processes = 0;
};

// NotFound when the root process does not exist. Processes that end while this looks are left out. `proc` is
// for tests.
Result<TreeUsage> read_tree_usage(pid_t root, const std::filesystem::path& proc = "/proc");

// Of this process alone.
Duration own_cpu_time();

}  // namespace llmd::bench
