#include "node/shim.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "base/rotating_file.h"
#include "base/strings.h"
#include "process/spawn.h"

namespace llmd::node {
namespace {

// In the child, between fork and exec: only async-signal-safe calls.
[[noreturn]] void become_program(char* const* argv, int output, int error_report, pid_t shim) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != shim) {
    ::_exit(127);  // the shim died before the line above
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  std::signal(SIGPIPE, SIG_DFL);  // ignored in llmd itself, and ignored signals survive exec
  const int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::execvp(argv[0], argv);
  const int reason = errno;
  [[maybe_unused]] const auto told = ::write(error_report, &reason, sizeof reason);
  ::_exit(127);
}

struct Child {
  pid_t pid = -1;
  FileDescriptor output;
};

Result<Child> start_program(std::span<const std::string> program) {
  std::array<int, 2> output{};
  std::array<int, 2> report{};
  if (::pipe2(output.data(), O_CLOEXEC) != 0 || ::pipe2(report.data(), O_CLOEXEC) != 0) {
    return system_error(errno, "pipe");
  }
  FileDescriptor output_read(output[0]);
  FileDescriptor output_write(output[1]);
  FileDescriptor report_read(report[0]);
  FileDescriptor report_write(report[1]);
  std::vector<char*> argv;
  for (const std::string& argument : program) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  const pid_t shim = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) {
    return system_error(errno, "fork");
  }
  if (pid == 0) {
    become_program(argv.data(), output_write.number(), report_write.number(), shim);
  }
  ::setpgid(pid, pid);  // also here: whoever comes first
  report_write.reset();
  int reason = 0;
  if (::read(report_read.number(), &reason, sizeof reason) == static_cast<ssize_t>(sizeof reason)) {
    ::waitpid(pid, nullptr, 0);
    return system_error(reason, "start " + program.front());
  }
  ::fcntl(output_read.number(), F_SETFL, O_NONBLOCK);
  return Child{pid, std::move(output_read)};
}

// Copies what is there to the log, but no more than a few buffers: a program that never stops writing must
// not keep the shim from hearing signals. False at the end of the output.
bool drain_output(int fd, RotatingFile& log) {
  constexpr int kReads = 16;
  std::array<char, 65536> buffer;
  for (int i = 0; i < kReads; ++i) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count > 0) {
      log.append({buffer.data(), static_cast<std::size_t>(count)});
    } else if (count == 0) {
      return false;
    } else if (errno != EINTR) {
      return errno == EAGAIN;
    }
  }
  return true;
}

// As their subreaper the shim has inherited all processes that the program left behind; returns when they are
// gone.
void end_descendants() {
  const auto list = fmt::format("/proc/self/task/{}/children", ::getpid());
  do {
    const auto children = read_file(list, 1 << 20);
    if (!children) {
      return;  // a kernel without the list: waiting for what cannot be killed would be for ever
    }
    for (const auto word : split(*children, ' ')) {
      if (const auto pid = parse_integer(word); pid && *pid > 1) {
        ::kill(static_cast<pid_t>(*pid), SIGKILL);
      }
    }
  } while (::waitpid(-1, nullptr, 0) > 0);  // one may have had children of its own
}

// Reaps the program (and, as its subreaper, whatever it left behind). True once the program itself has ended.
bool reap(pid_t program, int& status) {
  bool ended = false;
  int child_status = 0;
  for (pid_t pid = 0; (pid = ::waitpid(-1, &child_status, WNOHANG)) > 0;) {
    if (pid == program) {
      status = child_status;
      ended = true;
    }
  }
  return ended;
}

// Passes signals on and output through until the program has ended; returns its wait status.
int supervise(Child& child, int signals, RotatingFile& log) {
  int status = 0;
  for (;;) {
    std::array<pollfd, 2> waits{pollfd{signals, POLLIN, 0}, pollfd{child.output.number(), POLLIN, 0}};
    if (::poll(waits.data(), child.output ? 2 : 1, -1) < 0 && errno != EINTR) {
      return status;
    }
    if (child.output && waits[1].revents != 0 && !drain_output(child.output.number(), log)) {
      child.output.reset();
    }
    signalfd_siginfo info{};
    while (::read(signals, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      switch (info.ssi_signo) {
        case SIGCHLD:
          if (reap(child.pid, status)) {
            ::kill(-child.pid, SIGKILL);  // what is left of its group has lost its purpose
            end_descendants();
            if (child.output) {
              drain_output(child.output.number(), log);
            }
            return status;
          }
          break;
        case SIGUSR1:
          ::kill(-child.pid, SIGKILL);
          break;
        default:
          ::kill(-child.pid, SIGTERM);
      }
    }
  }
}

// The shim outlives the node: it must not hold the pipe or terminal that the node writes to.
void leave_output() {
  const FileDescriptor null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (null) {
    ::dup2(null.number(), STDOUT_FILENO);
    ::dup2(null.number(), STDERR_FILENO);
  }
}

}  // namespace

int run_shim(std::span<const std::string> arguments) {
  if (arguments.size() < 4 || arguments[2] != "--") {
    fmt::print(stderr, "usage: llmd shim FOLDER CONTAINER -- PROGRAM [ARGUMENT…]\n");
    return exit_code(ErrorKind::InvalidArgument);
  }
  const std::filesystem::path root(arguments[0]);
  const PodFolder folder(root.parent_path().parent_path(), root.filename().string());
  const std::string& container = arguments[1];

  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  sigset_t handled;
  sigemptyset(&handled);
  for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1}) {
    sigaddset(&handled, number);
  }
  ::sigprocmask(SIG_BLOCK, &handled, nullptr);
  const FileDescriptor signals(::signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
  leave_output();

  RotatingFile log(folder.log(container), kMaxLogBytes);
  ExitRecord exit{.started = std::chrono::system_clock::now()};
  auto child = start_program(arguments.subspan(3));
  if (!child) {
    exit.code = 127;
    exit.message = child.error().message;
    log.append(child.error().message + "\n");
  } else {
    const RunRecord record{.shim = ::getpid(),
                           .shim_start_time = process::read_start_time(::getpid()).value_or(0),
                           .program = child->pid,
                           .started = exit.started};
    if (const auto written = write_run_record(folder, container, record); !written) {
      log.append(written.error().message + "\n");
    }
    const int status = supervise(*child, signals.number(), log);
    exit.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    exit.code = exit.signal != 0 ? 128 + exit.signal : WEXITSTATUS(status);
  }
  exit.finished = std::chrono::system_clock::now();
  if (const auto written = write_exit_record(folder, container, exit); !written) {
    log.append(written.error().message + "\n");
    return written.error().kind == ErrorKind::NotFound
               ? 0
               : exit_code(written.error().kind);  // pod already removed
  }
  return 0;
}

}  // namespace llmd::node
