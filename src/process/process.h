// Child processes, waited on through a pidfd: no signal handler, no races with pid reuse.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "async/deadline.h"
#include "async/event_loop.h"
#include "base/file.h"

namespace llmd::process {

struct ExitStatus {
  int code = 0;    // exit code, or 128 + signal as a shell has it
  int signal = 0;  // 0: ended by itself
  bool ok() const { return code == 0; }
  std::string to_string() const;  // "exit code 3", "killed by SIGKILL"
};

struct SpawnOptions {
  std::vector<std::string> arguments;  // arguments[0] is the program; searched on PATH unless it has '/'
  std::map<std::string, std::string> environment;  // exactly this, nothing inherited
  std::filesystem::path working_directory;         // empty: ours
  int stdin_fd = -1;                               // -1: /dev/null
  int stdout_fd = -1;                              // -1: inherited
  int stderr_fd = -1;
  bool new_session = true;       // its own session and process group, so that a signal reaches all of it
  bool die_with_parent = false;  // SIGKILL when our thread ends (PR_SET_PDEATHSIG)
};

class Process {
 public:
  // Errors: program not found (NotFound with the PATH searched), not executable, out of processes.
  static Result<std::unique_ptr<Process>> spawn(async::EventLoop& loop, const SpawnOptions& options);
  // Takes over a process started by somebody else, if it is still the one with that start time
  // (/proc/PID/stat field 22). Its exit status is unknown to us (code -1).
  static Result<std::unique_ptr<Process>> adopt(async::EventLoop& loop, pid_t pid,
                                                unsigned long long start_time);
  virtual ~Process() = default;  // does not kill

  virtual pid_t pid() const = 0;
  virtual unsigned long long start_time() const = 0;
  virtual Result<void> signal(int signal_number) = 0;  // the process only
  virtual Result<void> signal_group(int signal_number) = 0;
  // Completes when the process has ended.
  virtual Task<ExitStatus> wait() = 0;
  virtual bool running() const = 0;
};

// SIGTERM to the group, wait up to `grace`, then SIGKILL to the group; returns when it has ended.
Task<ExitStatus> stop(Process& process, Duration grace);

// Runs a program to its end and collects its output (each at most `limit` bytes).
struct Output {
  ExitStatus status;
  std::string out;
  std::string err;
};
Task<Result<Output>> run(async::EventLoop& loop, SpawnOptions options, async::Deadline deadline,
                         std::size_t limit = 1 << 20);

// Our own environment as a map.
std::map<std::string, std::string> current_environment();

}  // namespace llmd::process
