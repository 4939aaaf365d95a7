#include "process/process.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include "async/asio.h"
#include "async/waiter.h"
#include "process/spawn.h"

namespace llmd::process {
namespace {

namespace asio = boost::asio;
using Descriptor = asio::posix::basic_stream_descriptor<Executor>;

// Shared with the one pending wait on the pidfd, which may outlive the Process.
struct Watched {
  Watched(Executor executor, int pidfd) : descriptor(executor, pidfd), waiting(executor) {}

  Descriptor descriptor;
  async::WaitList waiting;
  std::optional<ExitStatus> status;
  pid_t pid = -1;
  bool child = true;

  void collect() {
    pollfd state{descriptor.native_handle(), POLLIN, 0};
    if (status || ::poll(&state, 1, 0) == 0) {
      return;  // known already, or still running
    }
    ExitStatus ended{.code = -1};  // of a process that is not our child nobody tells us more
    siginfo_t info{};
    if (child &&
        ::waitid(P_PIDFD, static_cast<id_t>(descriptor.native_handle()), &info, WEXITED | WNOHANG) == 0) {
      const bool exited = info.si_code == CLD_EXITED;
      ended = exited ? ExitStatus{info.si_status, 0} : ExitStatus{128 + info.si_status, info.si_status};
    }
    status = ended;
    waiting.resume_all();
  }
};

void watch(const std::shared_ptr<Watched>& watched) {
  watched->descriptor.async_wait(Descriptor::wait_read, [watched](const async::ErrorCode& error) {
    if (error) {
      return;
    }
    watched->collect();
    if (!watched->status) {
      watch(watched);
    }
  });
}

class WatchedProcess final : public Process {
 public:
  WatchedProcess(Executor executor, pid_t pid, FileDescriptor pidfd, unsigned long long start_time,
                 bool child)
      : watched_(std::make_shared<Watched>(executor, pidfd.release())), start_time_(start_time) {
    watched_->pid = pid;
    watched_->child = child;
    watch(watched_);
  }
  ~WatchedProcess() override {
    if (watched_->status) {
      async::ErrorCode ignored;
      watched_->descriptor.close(ignored);
    }
    // Else the pending wait keeps the descriptor until the process has ended, so that it leaves no zombie.
  }

  pid_t pid() const override { return watched_->pid; }
  unsigned long long start_time() const override { return start_time_; }

  Result<void> signal(int number) override {
    if (::syscall(SYS_pidfd_send_signal, watched_->descriptor.native_handle(), number, nullptr, 0) != 0) {
      return system_error(errno, "signal process " + std::to_string(pid()));
    }
    return {};
  }

  Result<void> signal_group(int number) override {
    // A group lives as long as any of its members: it may be there although the leader has ended and been
    // collected.
    if (::kill(-pid(), number) != 0) {
      return system_error(errno, "signal process group " + std::to_string(pid()));
    }
    return {};
  }

  Task<ExitStatus> wait() override {
    const auto watched = watched_;
    while (!watched->status) {
      co_await watched->waiting.wait();
      co_await async::unwind_if_cancelled();
    }
    co_return *watched->status;
  }

  bool running() const override {
    watched_->collect();
    return !watched_->status;
  }

 private:
  std::shared_ptr<Watched> watched_;
  unsigned long long start_time_;
};

}  // namespace

std::string ExitStatus::to_string() const {
  if (signal != 0) {
    const char* name = ::sigabbrev_np(signal);
    return fmt::format("killed by SIG{}", name != nullptr ? name : std::to_string(signal));
  }
  return code < 0 ? "ended with unknown status" : fmt::format("exit code {}", code);
}

Result<std::unique_ptr<Process>> Process::spawn(async::EventLoop& loop, const SpawnOptions& options) {
  LLMD_TRY(auto spawned, start_program(options));
  // Not yet collected, so that the number is still its own even if it has ended already.
  const auto start_time = read_start_time(spawned.pid).value_or(0);
  return std::make_unique<WatchedProcess>(loop.executor(), spawned.pid, std::move(spawned.pidfd), start_time,
                                          true);
}

Result<std::unique_ptr<Process>> Process::adopt(async::EventLoop& loop, pid_t pid,
                                                unsigned long long start_time) {
  FileDescriptor pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!pidfd) {
    return errno == ESRCH ? not_found("process {} has ended", pid) : system_error(errno, "adopt process");
  }
  // The descriptor is open: from here on the number cannot be given to another process unnoticed.
  const auto found = read_start_time(pid);
  if (!found || *found != start_time) {
    return not_found("process {} has ended; its number belongs to another process now", pid);
  }
  return std::make_unique<WatchedProcess>(loop.executor(), pid, std::move(pidfd), start_time, false);
}

Task<ExitStatus> stop(Process& process, Duration grace) {
  if (process.running()) {
    // Errors mean that it has just ended; the wait below sees that.
    static_cast<void>(process.signal_group(SIGTERM));
    const auto ended = co_await async::with_deadline(
        async::Deadline::after(grace), "process",
        [](Process& ending) -> Task<Result<ExitStatus>> { co_return co_await ending.wait(); }(process));
    if (ended) {
      static_cast<void>(process.signal_group(SIGKILL));  // what the leader left behind
      co_return *ended;
    }
  }
  static_cast<void>(process.signal_group(SIGKILL));
  static_cast<void>(process.running() ? process.signal(SIGKILL) : Result<void>());
  co_return co_await process.wait();
}

}  // namespace llmd::process
