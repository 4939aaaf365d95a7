// The controllers a Kubernetes cluster has and one machine needs: Deployment, ReplicaSet, EndpointSlice,
// garbage collection, namespaces, and binding pods to the one node. Ordinary clients of the API; they keep
// nothing of their own.
#pragma once

#include <memory>

#include "async/event_loop.h"
#include "kube/client.h"

namespace llmd::controllers {

class Controllers {
 public:
  Controllers(async::EventLoop& loop, kube::Client& client);
  ~Controllers();
  Task<void> run();  // until cancelled

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::controllers
