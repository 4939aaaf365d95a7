// Feeds a gateway from a Kubernetes API server, ours or a real one, and tells the objects what became of
// them. Objects of all namespaces; kinds that the server does not know are left out until it does.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "async/event_loop.h"
#include "gateway/build_routes.h"
#include "gateway/gateway.h"
#include "kube/client.h"

namespace llmd::gateway {

struct KubeSourceOptions {
  bool alone = true;         // as BuildOptions
  std::string address = {};  // where clients reach the gateway, for the Gateways' status; empty: not known
  bool write_status = true;
};

class KubeSource {
 public:
  // Client and gateway outlive the source.
  KubeSource(async::EventLoop& loop, kube::Client& client, Gateway& gateway, KubeSourceOptions options = {});
  ~KubeSource();

  // Updates the gateway after every change, until cancelled.
  Task<void> run();

  // Called with the objects of every update, after the gateway has it; for others who are fed from the same
  // objects. They are valid during the call only. Register before run().
  void on_update(std::function<void(const RouteObjects&)> callback);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::gateway
