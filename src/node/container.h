// One container of a pod: started through its shim, probed, restarted with back-off, stopped within its grace
// period.
//
// Never two at a time: the lock file in the pod's folder is taken before the shim is started and inherited by
// it, so that a node which follows a killed one either finds the run record or finds the lock held.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "async/event.h"
#include "async/scope.h"
#include "http/client.h"
#include "node/launch.h"
#include "node/probe.h"
#include "node/shim.h"
#include "process/process.h"

namespace llmd::node {

enum class RestartPolicy { Always, OnFailure, Never };

// What the pod's status says about a container.
struct ContainerStatus {
  enum class Phase { Waiting, Running, Terminated };
  Phase phase = Phase::Waiting;
  std::string reason = "ContainerCreating";
  std::string message;
  WallTime started;                     // Running
  std::optional<ExitRecord> exit;       // Terminated: this run
  std::optional<ExitRecord> last_exit;  // the run before
  int restarts = 0;
  bool started_up = false;  // the startup probe has succeeded, or there is none
  bool ready = false;

  bool succeeded() const { return phase == Phase::Terminated && exit && exit->code == 0; }
};

struct ContainerSetup {
  std::string name;
  std::string image;
  Launch launch;
  std::string address;
  RestartPolicy restart_policy = RestartPolicy::Always;
  std::optional<Probe> startup;
  std::optional<Probe> readiness;
  std::optional<Probe> liveness;
  std::vector<std::string> pre_stop;  // exec command; empty: none
};

class Container {
 public:
  // `changed` is called after every change of status(). `llmd` is the program that plays the shim.
  Container(async::EventLoop& loop, http::ClientPool& pool, PodFolder folder, std::filesystem::path llmd,
            ContainerSetup setup, ContainerStatus remembered, std::function<void()> changed);
  ~Container();

  // Adopts a living program or starts one, and keeps it running as the restart policy says. Returns when it
  // has ended for good, maybe while no node was running, or when stop() has been called.
  Task<void> run();
  // Makes run() start the program again although it has ended before.
  void forget_last_run();

  // Ends the program: the preStop command when `graceful`, SIGTERM, and SIGKILL once the deadline passes.
  // run() returns.
  Task<void> stop(async::Deadline deadline, bool graceful);

  const ContainerStatus& status() const { return status_; }
  const ContainerSetup& setup() const { return setup_; }

 private:
  Task<Result<void>> attach();  // adopt or start
  Result<std::unique_ptr<process::Process>> adopt_living();
  Task<Result<void>> start();
  bool has_ended_while_away() const;
  Task<void> watch();  // until the program has ended
  Task<void> run_probes(async::Scope& probes);
  Task<bool> probe_startup();
  Task<void> probe_readiness();
  Task<void> probe_liveness();
  Task<void> end_unhealthy(std::string_view probe, std::string error);
  void record_exit();
  void note_restart();
  bool wants_restart() const;
  Duration back_off() const;
  void update(std::function<void(ContainerStatus&)> change);

  async::EventLoop& loop_;
  http::ClientPool& pool_;
  PodFolder folder_;
  std::filesystem::path llmd_;
  ContainerSetup setup_;
  ContainerStatus status_;
  std::function<void()> changed_;
  std::unique_ptr<process::Process> shim_;
  async::Event stopping_;
  async::Event ended_;  // run() has returned
  int quick_failures_ = 0;
};

}  // namespace llmd::node
