// Feeds a gateway from a Kubernetes API server: HTTPRoutes, Services and EndpointSlices of all namespaces.
#pragma once

#include <memory>

#include "async/event_loop.h"
#include "gateway/gateway.h"
#include "kube/client.h"

namespace llmd::gateway {

class KubeSource {
 public:
  // Client and gateway outlive the source.
  KubeSource(async::EventLoop& loop, kube::Client& client, Gateway& gateway);
  ~KubeSource();

  // Updates the gateway after every change, until cancelled.
  Task<void> run();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::gateway
