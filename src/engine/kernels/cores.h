// How many threads this process can really run at once.
#pragma once

#include <filesystem>

namespace llmd::engine {

// The smallest of: cores in the affinity mask, and the CPU quota of the control groups (v2 or v1) the process
// is in, rounded up. At least 1. `root` stands for "/" so that tests can show another machine.
int usable_cores(const std::filesystem::path& root = "/");

}  // namespace llmd::engine
