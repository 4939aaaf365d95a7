// One InferencePool of a Kubernetes cluster and its pods, as a picker's endpoints; InferenceObjectives as
// priorities. Any API server will do, ours too.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "extproc/service.h"
#include "kube/client.h"
#include "picker/endpoint.h"

namespace llmd::extproc {

struct PoolReference {
  std::string group = "inference.networking.k8s.io";  // or inference.networking.x-k8s.io (v1alpha2)
  std::string name_space = "default";
  std::string name;
  // Instead of a pool: pods by labels, with these ports.
  std::string selector;
  std::vector<std::uint16_t> target_ports;
};

// What a pool and a pod of its namespace make: an endpoint for each target port of a pod that is ready,
// matches, and is not being deleted. Pure.
std::vector<picker::Endpoint> endpoints_of(const kube::Object& pool,
                                           const std::vector<const kube::Object*>& pods);

class KubePool {
 public:
  KubePool(async::EventLoop& loop, kube::Client& client, PoolReference reference);
  ~KubePool();

  // `pool` is called with every change; `found` tells whether the pool exists.
  void on_change(std::function<void(std::vector<picker::Endpoint> endpoints, bool found)> changed);
  void on_priorities(std::function<void(std::shared_ptr<const Priorities>)> changed);
  Task<void> run();  // until cancelled

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::extproc
