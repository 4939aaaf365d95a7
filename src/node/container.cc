#include "node/container.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>

#include "base/log.h"

namespace llmd::node {
namespace {

using namespace std::chrono_literals;

constexpr Duration kFirstBackOff = 1s;  // the very first restart is immediate
constexpr Duration kMaxBackOff = 5min;
constexpr Duration kHealthyRun = 60s;      // a run this long forgets earlier failures
constexpr Duration kUnhealthyGrace = 30s;  // for a program whose probe failed, as the kubelet's default

Result<FileDescriptor> take_lock(const std::filesystem::path& path) {
  FileDescriptor lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) {
    return system_error(errno, "open " + path.string());
  }
  if (::flock(lock.number(), LOCK_EX | LOCK_NB) != 0) {
    return unavailable("{}: held by a shim that is just starting or ending", path.string());
  }
  return lock;
}

}  // namespace

Container::Container(async::EventLoop& loop, http::ClientPool& pool, PodFolder folder,
                     std::filesystem::path llmd, ContainerSetup setup, ContainerStatus remembered,
                     std::function<void()> changed)
    : loop_(loop),
      pool_(pool),
      folder_(std::move(folder)),
      llmd_(std::move(llmd)),
      setup_(std::move(setup)),
      status_(std::move(remembered)),
      changed_(std::move(changed)),
      stopping_(loop.executor()),
      ended_(loop.executor()) {
  ended_.set();
}

Container::~Container() = default;

void Container::update(std::function<void(ContainerStatus&)> change) {
  change(status_);
  changed_();
}

Result<std::unique_ptr<process::Process>> Container::adopt_living() {
  LLMD_TRY(const auto record, read_run_record(folder_, setup_.name));
  if (!record) {
    return not_found("no run record");
  }
  return process::Process::adopt(loop_, record->shim, record->shim_start_time);
}

// An exit that the API does not know yet, and nothing runs.
bool Container::has_ended_while_away() const {
  const auto record = read_exit_record(folder_, setup_.name);
  if (!record || !*record) {
    return false;
  }
  const auto finished = (*record)->finished;
  const bool counted = status_.last_exit && status_.last_exit->finished == finished;
  return !counted;
}

void Container::forget_last_run() {
  std::error_code ignored;
  std::filesystem::remove(folder_.exit_record(setup_.name), ignored);
}

Task<Result<void>> Container::start() {
  LLMD_CO_TRY(const auto lock, take_lock(folder_.lock(setup_.name)));
  std::error_code ignored;
  std::filesystem::remove(folder_.run_record(setup_.name), ignored);
  std::filesystem::remove(folder_.exit_record(setup_.name), ignored);
  std::filesystem::rename(folder_.log(setup_.name), folder_.previous_log(setup_.name), ignored);
  process::SpawnOptions options{.environment = setup_.launch.environment,
                                .working_directory = setup_.launch.working_directory,
                                .stdin_fd = lock.number()};
  options.arguments = {llmd_.string(), std::string(kShimCommand), folder_.root().string(), setup_.name, "--"};
  options.arguments.insert(options.arguments.end(), setup_.launch.arguments.begin(),
                           setup_.launch.arguments.end());
  LLMD_CO_TRY(shim_, process::Process::spawn(loop_, options));
  log::info("container started", {{"pod", folder_.root().filename().string()},
                                  {"container", setup_.name},
                                  {"shim", shim_->pid()},
                                  {"program", setup_.launch.arguments.front()}});
  co_return Result<void>();
}

Task<Result<void>> Container::attach() {
  WallTime started = std::chrono::system_clock::now();
  if (auto living = adopt_living()) {
    shim_ = std::move(*living);
    if (const auto record = read_run_record(folder_, setup_.name); record && *record) {
      started = (*record)->started;
    }
    log::info("container adopted", {{"container", setup_.name}, {"shim", shim_->pid()}});
  } else {
    LLMD_CO_TRY_VOID(co_await start());
  }
  update([&](ContainerStatus& status) {
    status.phase = ContainerStatus::Phase::Running;
    status.reason.clear();
    status.message.clear();
    status.started = started;
    status.started_up = !setup_.startup;
    status.ready = !setup_.startup && !setup_.readiness;
  });
  co_return Result<void>();
}

// SIGTERM, and after a while SIGKILL; watch() goes on when the program has ended.
Task<void> Container::end_unhealthy(std::string_view probe, std::string error) {
  log::warning("probe failed for too long; restarting",
               {{"container", setup_.name}, {"probe", probe}, {"error", error}});
  update([](ContainerStatus& status) { status.ready = false; });
  [[maybe_unused]] const auto asked = shim_->signal(SIGTERM);
  co_await async::sleep(kUnhealthyGrace);
  [[maybe_unused]] const auto killed = shim_->signal(SIGUSR1);
}

// False when it never succeeded: the program has been told to end.
Task<bool> Container::probe_startup() {
  if (!setup_.startup) {
    co_return true;
  }
  const Probe& probe = *setup_.startup;
  const auto give_up = async::Deadline::after(probe.initial_delay + probe.period * probe.failure_threshold);
  for (int asked = 0;; ++asked) {
    const auto answer = co_await ask(loop_, pool_, probe, setup_.address, setup_.launch.environment);
    if (answer) {
      break;
    }
    if (give_up.expired()) {
      co_await end_unhealthy("startup", answer.error().message);
      co_return false;
    }
    co_await async::sleep(eager_interval(probe, asked));
  }
  update([&](ContainerStatus& status) {
    status.started_up = true;
    status.ready = !setup_.readiness;
  });
  co_return true;
}

Task<void> Container::probe_readiness() {
  if (!setup_.readiness) {
    co_return;
  }
  const Probe& probe = *setup_.readiness;
  co_await async::sleep(status_.started_up && !setup_.startup ? probe.initial_delay : Duration::zero());
  ProbeTracker tracker(probe, false);
  for (int asked = 0;; ++asked) {
    const auto answer = co_await ask(loop_, pool_, probe, setup_.address, setup_.launch.environment);
    if (tracker.observe(answer.has_value())) {
      update([&](ContainerStatus& status) { status.ready = tracker.succeeded(); });
      if (!answer) {
        log::warning("container not ready", {{"container", setup_.name}, {"error", answer.error().message}});
      }
      asked = 0;
    }
    co_await async::sleep(tracker.succeeded() ? probe.period : eager_interval(probe, asked));
  }
}

Task<void> Container::probe_liveness() {
  if (!setup_.liveness) {
    co_return;
  }
  const Probe& probe = *setup_.liveness;
  co_await async::sleep(std::max(probe.initial_delay, probe.period));
  ProbeTracker tracker(probe, true);
  for (;;) {
    const auto answer = co_await ask(loop_, pool_, probe, setup_.address, setup_.launch.environment);
    tracker.observe(answer.has_value());
    if (tracker.failed()) {
      co_await end_unhealthy("liveness", answer.error().message);
      co_return;
    }
    co_await async::sleep(probe.period);
  }
}

Task<void> Container::run_probes(async::Scope& probes) {
  const bool started = co_await probe_startup();
  if (started) {
    probes.spawn("liveness", probe_liveness());
    co_await probe_readiness();
  }
}

Task<void> Container::watch() {
  co_await async::with_scope(loop_.executor(), [this](async::Scope& probes) -> Task<void> {
    probes.spawn("probes", run_probes(probes));
    co_await shim_->wait();
  });
  record_exit();
  shim_.reset();
}

void Container::record_exit() {
  auto record = read_exit_record(folder_, setup_.name);
  ExitRecord exit{.code = 137,
                  .signal = SIGKILL,
                  .started = status_.started,
                  .finished = std::chrono::system_clock::now(),
                  .message = "the shim was killed"};
  if (record && *record) {
    exit = **record;
  } else if (const auto run = read_run_record(folder_, setup_.name); run && *run && (*run)->program > 1) {
    ::kill(-(*run)->program, SIGKILL);  // the program died with its shim, but not the rest of its group
  }
  const bool long_run = exit.finished - exit.started >= kHealthyRun;
  quick_failures_ = long_run ? 0 : quick_failures_ + 1;
  log::info("container ended", {{"pod", folder_.root().filename().string()},
                                {"container", setup_.name},
                                {"code", exit.code},
                                {"signal", exit.signal},
                                {"message", exit.message}});
  update([&](ContainerStatus& status) {
    status.phase = ContainerStatus::Phase::Terminated;
    status.reason = exit.code == 0 ? "Completed" : "Error";
    status.message = exit.message;
    status.exit = exit;
    status.ready = false;
    status.started_up = false;
  });
}

bool Container::wants_restart() const {
  switch (setup_.restart_policy) {
    case RestartPolicy::Always:
      return true;
    case RestartPolicy::OnFailure:
      return !status_.succeeded();
    case RestartPolicy::Never:
      return false;
  }
  return false;
}

Duration Container::back_off() const {
  if (quick_failures_ <= 1) {
    return Duration::zero();
  }
  return std::min<Duration>(kMaxBackOff, kFirstBackOff * (1LL << std::min(quick_failures_ - 2, 10)));
}

void Container::note_restart() {
  update([this](ContainerStatus& status) {
    status.last_exit = std::exchange(status.exit, std::nullopt);
    status.phase = ContainerStatus::Phase::Waiting;
    status.reason = "CrashLoopBackOff";
    status.message = fmt::format("restarting in {} s",
                                 std::chrono::duration_cast<std::chrono::seconds>(back_off()).count());
    ++status.restarts;
  });
}

Task<void> Container::run() {
  ended_.reset();
  if (!adopt_living() && has_ended_while_away()) {
    record_exit();
    if (!wants_restart()) {
      ended_.set();
      co_return;
    }
    note_restart();
  }
  while (!stopping_.is_set()) {
    if (auto attached = co_await attach(); !attached) {
      ++quick_failures_;
      update([&](ContainerStatus& status) {
        status.phase = ContainerStatus::Phase::Waiting;
        status.reason = "CreateContainerError";
        status.message = attached.error().text();
      });
    } else {
      co_await watch();
      if (stopping_.is_set() || !wants_restart()) {
        break;
      }
      note_restart();
    }
    co_await stopping_.wait_until(async::Deadline::after(back_off()));
  }
  ended_.set();
}

Task<void> Container::stop(async::Deadline deadline, bool graceful) {
  stopping_.set();
  if (shim_ && graceful && !setup_.pre_stop.empty()) {
    process::SpawnOptions hook{.arguments = setup_.pre_stop, .environment = setup_.launch.environment};
    [[maybe_unused]] const auto output = co_await process::run(loop_, std::move(hook), deadline, 16 * 1024);
  }
  if (shim_) {
    [[maybe_unused]] const auto asked = shim_->signal(SIGTERM);
  }
  if (co_await ended_.wait_until(deadline)) {
    co_return;
  }
  if (shim_) {
    log::warning("container ignored SIGTERM; killing it", {{"container", setup_.name}});
    [[maybe_unused]] const auto killed = shim_->signal(SIGUSR1);
  }
  co_await ended_.wait();
}

}  // namespace llmd::node
