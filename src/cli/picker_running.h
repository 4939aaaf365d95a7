// `llmd picker` while it runs: follows files or Kubernetes, leads or waits, and drains. Private to cli.
#pragma once

#include <csignal>
#include <map>
#include <memory>
#include <string>

#include "async/scope.h"
#include "cli/picker_setup.h"
#include "extproc/kube_pool.h"
#include "kube/leader.h"
#include "process/signals.h"

namespace llmd::cli {

// The program with everything it is made of.
struct RunningPicker {
  const PickerArguments& arguments;
  async::EventLoop& loop;
  extproc::ServedPools& pools;
  extproc::Program& program;
  trace::Tracing& tracing;
  Certificates certificates;
  EndpointSource source;
  kube::Client* client;                               // null: no Kubernetes
  process::Signals signals{loop, {SIGINT, SIGTERM}};  // from before anybody knows that we run
  std::map<std::string, bool> found = {};             // of pools in Kubernetes: whether they exist

  kube::LeaseOptions lease() const;
  extproc::PoolReference reference(const std::string& pool) const;
  Task<void> follow(extproc::KubePool& watched, std::string name);
  Task<void> follow_kubernetes();
  void watch_files(async::Scope& scope);
  Task<void> run();
};

}  // namespace llmd::cli
