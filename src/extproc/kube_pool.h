// One InferencePool of a Kubernetes cluster and its pods, as a picker's endpoints; InferenceObjectives as
// priorities. Any API server will do, ours too. While it is away, the last endpoints stay. One loop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "extproc/rules.h"
#include "json/value.h"
#include "kube/client.h"
#include "picker/endpoint.h"

namespace llmd::extproc {

struct PoolReference {
  std::string group = "inference.networking.k8s.io";  // or inference.networking.x-k8s.io (v1alpha2)
  std::string name_space = "default";
  std::string name;
  // Instead of a pool: pods by labels, with these ports. The name then stands for the pool that others refer
  // to; empty: whatever they refer to.
  std::string selector;
  std::vector<std::uint16_t> target_ports;
};

// What a pool and a pod of its namespace make: an endpoint for each target port of a pod that is ready,
// matches, and is not being deleted. The annotation llm-d.ai/active-ports of a pod (or, without it,
// inference.networking.k8s.io/active-ports) leaves out the ports that it does not name. A pool that is being
// deleted has none. Pure.
std::vector<picker::Endpoint> endpoints_of(const kube::Object& pool,
                                           const std::vector<const kube::Object*>& pods);

// Of the objectives whose poolRef names this pool. Pure.
Priorities priorities_of(const std::vector<const kube::Object*>& objectives, const PoolReference& pool);
// Of the same pool; what makes no sense is logged and left out.
std::vector<ModelRewrite> rewrites_of(const std::vector<const kube::Object*>& objects,
                                      const PoolReference& pool);

class KubePool {
 public:
  KubePool(async::EventLoop& loop, kube::Client& client, PoolReference reference);
  ~KubePool();

  // Called once everything has been read, then after every change; `found` tells whether the pool exists.
  void on_change(std::function<void(std::vector<picker::Endpoint> endpoints, bool found)> changed);
  // The objectives and model rewrites whose poolRef names this pool.
  void on_rules(std::function<void(std::shared_ptr<const Rules>)> changed);
  Task<void> run();  // until cancelled

  // Of the pool's engines, as the pool says; empty: it does not say, or there is no pool.
  std::string app_protocol() const;

  // For /debug: what is followed, and since when the API server has been away.
  json::Object state() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::extproc
