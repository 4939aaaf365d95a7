// `llmd picker` while it runs: follows files or Kubernetes, leads or waits, and drains. Private to cli.
#pragma once

#include <csignal>
#include <map>
#include <memory>
#include <string>

#include "async/event.h"
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
  std::map<std::string, bool> found = {};             // pools in Kubernetes: they exist and can be served
  std::map<std::string, bool> warned = {};            // that they cannot
  async::Event led{loop.executor()};                  // while this replica leads
  async::Event lost{loop.executor()};                 // while it does not

  kube::LeaseOptions lease() const;
  extproc::PoolReference reference(const std::string& pool) const;
  Task<void> follow(extproc::KubePool& watched, std::string name);
  Task<void> follow_kubernetes();
  Task<void> follow_while_leading();
  bool followers_know_endpoints() const;
  void set_leading(bool leads);
  void watch_files(async::Scope& scope);
  Task<void> run();
};

}  // namespace llmd::cli
