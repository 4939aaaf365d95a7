// Starting a program: fork-like clone with a pidfd, then exec. Private to process.
#pragma once

#include "process/process.h"

namespace llmd::process {

struct Spawned {
  pid_t pid = -1;
  FileDescriptor pidfd;
};
Result<Spawned> start_program(const SpawnOptions& options);

// Field 22 of /proc/PID/stat: clock ticks since boot. NotFound when there is no such process.
Result<unsigned long long> read_start_time(pid_t pid);

}  // namespace llmd::process
