// The shim: the small process that stands between the node and one container's program. It owns the log and
// the exit record, so that the program outlives a killed `llmd up` and the next one can adopt it and learn
// how it ended.
//
//   node ──spawn──▶ llmd shim FOLDER CONTAINER -- PROGRAM ARGS…
//                     ├─ run/<container>.run.json   pids with start times, written once the program runs
//                     ├─ logs/<container>.log       its output; past 10 MiB it becomes .log.1
//                     └─ run/<container>.exit.json  how it ended
//
// SIGTERM is passed on to the program's process group; SIGUSR1 kills the group. Nothing outlives the program:
// what it leaves behind is killed, whatever group or session it moved to. When the shim itself is killed, the
// program dies with it (PR_SET_PDEATHSIG). A full disk loses log lines, never the program.
//
// The node hands it the container's lock as standard input; the shim holds it to its end (container.h).
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "node/pod_folder.h"

namespace llmd::node {

inline constexpr std::string_view kShimCommand = "shim";
inline constexpr std::size_t kMaxLogBytes = 10 * 1024 * 1024;

// The body of `llmd shim`; arguments after the command's name. Returns the exit code.
int run_shim(std::span<const std::string> arguments);

// What the shim wrote down. Start times are /proc/PID/stat field 22 and make a pid unmistakable.
struct RunRecord {
  pid_t shim = 0;
  unsigned long long shim_start_time = 0;
  pid_t program = 0;
  WallTime started;
};

struct ExitRecord {
  int code = 0;    // 128 + signal when killed, as Kubernetes has it
  int signal = 0;  // 0: ended by itself
  WallTime started;
  WallTime finished;
  std::string message;  // why it never started; empty otherwise
};

// nullopt: no such record (yet). A damaged record is DataLoss.
Result<std::optional<RunRecord>> read_run_record(const PodFolder& folder, std::string_view container);
Result<std::optional<ExitRecord>> read_exit_record(const PodFolder& folder, std::string_view container);
Result<void> write_run_record(const PodFolder& folder, std::string_view container, const RunRecord& record);
Result<void> write_exit_record(const PodFolder& folder, std::string_view container, const ExitRecord& record);

}  // namespace llmd::node
