#include "process/spawn.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/strings.h"

extern "C" char** environ;  // NOLINT: POSIX gives it no header

namespace llmd::process {
namespace {

constexpr std::string_view kDefaultPath = "/usr/local/bin:/usr/bin:/bin";

// Everything the child needs, prepared before the clone: after it only async-signal-safe calls are allowed.
struct Prepared {
  std::string program;
  std::vector<char*> arguments;
  std::vector<std::string> environment_text;
  std::vector<char*> environment;
  std::string directory;
  int fds[3] = {-1, -1, -1};
  bool new_session = false;
  bool die_with_parent = false;
  pid_t parent = 0;
  int error_pipe = -1;
};

// What the child reports when it cannot become the program.
struct ChildFailure {
  int error_number = 0;
  enum Step : int { Directory, Files, Exec } step = Exec;
};

Result<std::string> find_program(const SpawnOptions& options) {
  const std::string& name = options.arguments.front();
  if (name.find('/') != std::string::npos) {
    return name;
  }
  const auto given = options.environment.find("PATH");
  const char* ours = ::getenv("PATH");
  const std::string path = given != options.environment.end() ? given->second
                           : ours != nullptr                  ? std::string(ours)
                                                              : std::string(kDefaultPath);
  for (const std::string_view folder : split(path, ':')) {
    std::string candidate = std::string(folder.empty() ? "." : folder) + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
  }
  return not_found("{}: no such program in PATH={}", name, path);
}

[[noreturn]] void fail_child(const Prepared& prepared, ChildFailure::Step step) {
  const ChildFailure failure{errno, step};
  [[maybe_unused]] const auto written = ::write(prepared.error_pipe, &failure, sizeof(failure));
  ::_exit(127);
}

void restore_signals() {
  struct sigaction standard{};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) {
    ::sigaction(number, &standard, nullptr);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// First out of the way of 0 to 2, then into place: the sources may be any of them.
bool place_fds(const int (&sources)[3]) {
  int moved[3];
  for (int i = 0; i < 3; ++i) {
    moved[i] = ::fcntl(sources[i], F_DUPFD_CLOEXEC, 3);
    if (moved[i] < 0) {
      return false;
    }
  }
  for (int i = 0; i < 3; ++i) {
    if (::dup2(moved[i], i) < 0) {
      return false;
    }
  }
  return true;
}

[[noreturn]] void become_program(Prepared& prepared) {
  restore_signals();
  if (prepared.new_session) {
    ::setsid();
  }
  if (prepared.die_with_parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != prepared.parent) {
      ::_exit(127);  // the parent ended before the line above
    }
  }
  if (!place_fds(prepared.fds)) {
    fail_child(prepared, ChildFailure::Files);
  }
  // Descriptors that somebody opened without CLOEXEC stay ours.
  ::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
  if (!prepared.directory.empty() && ::chdir(prepared.directory.c_str()) != 0) {
    fail_child(prepared, ChildFailure::Directory);
  }
  ::execve(prepared.program.c_str(), prepared.arguments.data(), prepared.environment.data());
  fail_child(prepared, ChildFailure::Exec);
}

Error spawn_error(const SpawnOptions& options, const Prepared& prepared, const ChildFailure& failure) {
  if (failure.step == ChildFailure::Directory) {
    return system_error(failure.error_number, "working directory " + options.working_directory.string());
  }
  if (failure.step == ChildFailure::Files) {
    return system_error(failure.error_number, "standard streams of " + prepared.program);
  }
  Error error = system_error(failure.error_number, "run " + prepared.program);
  return failure.error_number == ENOEXEC
             ? std::move(error).hint("not a program of this machine, and no '#!' line")
             : std::move(error);
}

Prepared prepare(const SpawnOptions& options, std::string program, int null_fd, int error_pipe) {
  Prepared prepared;
  prepared.program = std::move(program);
  for (const std::string& argument : options.arguments) {
    prepared.arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  prepared.arguments.push_back(nullptr);
  for (const auto& [name, value] : options.environment) {
    prepared.environment_text.push_back(name + "=" + value);
  }
  for (std::string& entry : prepared.environment_text) {
    prepared.environment.push_back(entry.data());
  }
  prepared.environment.push_back(nullptr);
  prepared.directory = options.working_directory.string();
  prepared.fds[0] = options.stdin_fd >= 0 ? options.stdin_fd : null_fd;
  prepared.fds[1] = options.stdout_fd >= 0 ? options.stdout_fd : STDOUT_FILENO;
  prepared.fds[2] = options.stderr_fd >= 0 ? options.stderr_fd : STDERR_FILENO;
  prepared.new_session = options.new_session;
  prepared.die_with_parent = options.die_with_parent;
  prepared.parent = ::getpid();
  prepared.error_pipe = error_pipe;
  return prepared;
}

}  // namespace

Result<Spawned> start_program(const SpawnOptions& options) {
  if (options.arguments.empty()) {
    return invalid_argument("spawn: no program given");
  }
  LLMD_TRY(auto program, find_program(options));
  const FileDescriptor null_fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  int ends[2];
  if (!null_fd || ::pipe2(ends, O_CLOEXEC) != 0) {
    return system_error(errno, "run " + program);
  }
  const FileDescriptor read_end(ends[0]);
  FileDescriptor write_end(ends[1]);
  Prepared prepared = prepare(options, std::move(program), null_fd.number(), write_end.number());

  // No signal handler of ours may run in the child before exec.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  int pidfd = -1;
  clone_args arguments{};
  arguments.flags = CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof(arguments)));
  if (pid == 0) {
    become_program(prepared);
  }
  const int clone_error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) {
    return system_error(clone_error, "run " + prepared.program);
  }
  Spawned spawned{pid, FileDescriptor(pidfd)};
  write_end.reset();
  ChildFailure failure;
  // The pipe closes by itself when exec succeeds.
  if (::read(read_end.number(), &failure, sizeof(failure)) == sizeof(failure)) {
    ::waitpid(pid, nullptr, 0);
    return spawn_error(options, prepared, failure);
  }
  return spawned;
}

Result<unsigned long long> read_start_time(pid_t pid) {
  LLMD_TRY(const std::string stat, read_file("/proc/" + std::to_string(pid) + "/stat"));
  // The name in parentheses may contain anything; fields are counted after its end.
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) {
    return data_loss("/proc/{}/stat has an unknown form", pid);
  }
  const auto fields = split(trim(std::string_view(stat).substr(name_end + 1)), ' ');
  constexpr std::size_t kStartTime = 22 - 3;  // fields start with the third here
  const auto value = fields.size() > kStartTime ? parse_integer(fields[kStartTime]) : std::nullopt;
  if (!value) {
    return data_loss("/proc/{}/stat has an unknown form", pid);
  }
  return static_cast<unsigned long long>(*value);
}

std::map<std::string, std::string> current_environment() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos) {
      variables.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  return variables;
}

}  // namespace llmd::process
