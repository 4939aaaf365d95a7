// The controllers that make the kinds of a single machine's API server come alive: Deployment, ReplicaSet,
// EndpointSlice, garbage collection, namespaces, service accounts, and a scheduler that puts pods on the node
// there is.
//
// Ordinary clients of the API: on a real cluster kube-controller-manager and kube-scheduler do this work, and
// nothing of this library runs. One loop.
#pragma once

#include <memory>

#include "async/event_loop.h"
#include "kube/client.h"

namespace llmd::controllers {

class Controllers {
 public:
  // `client` outlives this.
  Controllers(async::EventLoop& loop, kube::Client& client);
  ~Controllers();
  // Works until cancelled.
  Task<void> run();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::controllers
