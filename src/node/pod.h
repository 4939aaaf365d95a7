// One pod on this node, from the moment it is seen until its object is gone: volumes, init containers in
// order, then the containers, and a status that follows them.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "async/event.h"
#include "async/scope.h"
#include "http/client.h"
#include "kube/client.h"
#include "node/container.h"
#include "node/pod_status.h"

namespace llmd::node {

// What all pods of a node share; owned by the node, outlives them.
struct PodContext {
  async::EventLoop& loop;
  kube::Client& client;
  http::ClientPool& probes;
  std::filesystem::path data;
  std::filesystem::path llmd;
  std::filesystem::path model_cache;
  std::string node_name;
  std::string host_address;
  Environment inherited;
  std::function<std::optional<std::filesystem::path>(std::string_view)> find_program;
};

// What its deletion asked for, else its own.
Duration grace_period_of(const kube::Object& pod);

class Pod {
 public:
  Pod(PodContext& context, kube::Object object, std::string address);
  ~Pod();

  // Runs the pod; returns after stop(), or when its containers have ended for good.
  Task<void> run();
  // Stops all containers at the same time; graceful honours preStop. Returns when no process is left, also
  // none that an earlier node started and this one had not adopted yet.
  Task<void> stop(async::Deadline deadline, bool graceful);
  // The object as the API has it now.
  void observe(const kube::Object& object) { object_ = object; }

  const std::string& address() const { return address_; }
  const PodFolder& folder() const { return folder_; }

 private:
  Task<Result<void>> prepare();  // sources, volumes, launches; nothing runs yet
  Task<Result<void>> announce_logs();
  Task<Result<void>> fetch_sources();
  Result<std::unique_ptr<Container>> make_container(const kube::Object& spec, bool init);
  Task<void> prepare_until_possible();
  Task<void> run_everything();
  Task<void> run_init_containers();
  Task<void> run_containers();
  Task<void> report_changes();  // writes the status whenever something changed
  Task<bool> report();          // false: try again
  PodFacts facts() const;
  bool a_container_lives() const;

  PodContext& context_;
  kube::Object object_;
  std::string address_;
  PodFolder folder_;
  EnvironmentSources sources_;
  RestartPolicy policy_ = RestartPolicy::Always;
  std::string obstacle_;  // why nothing can be started yet; shown as the containers' waiting message
  std::vector<std::unique_ptr<Container>> init_;
  std::vector<std::unique_ptr<Container>> containers_;
  async::Event changed_;
  async::Event stopping_;
  async::Event finished_;
  kube::Object reported_;
};

}  // namespace llmd::node
