// Feeds a gateway from a Kubernetes API server, ours or a real one, and tells the objects what became of
// them. Objects of all namespaces; kinds that the server does not know are left out until it does. Changes of
// objects that no route depends on cost nothing (route_inputs.h).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "async/event_loop.h"
#include "gateway/build_routes.h"
#include "gateway/gateway.h"
#include "kube/client.h"
#include "kube/leader.h"

namespace llmd::gateway {

struct KubeSourceOptions {
  bool alone = true;         // as BuildOptions
  std::string address = {};  // where clients reach the gateway, for the Gateways' status; empty: not known
  bool write_status = true;
  // Of several gateways with the same Lease, the one that holds it writes status: their addresses may differ.
  // Absent: this one writes.
  std::optional<kube::LeaseOptions> status_lease = {};
};

class KubeSource {
 public:
  // Client and gateway outlive the source.
  KubeSource(async::EventLoop& loop, kube::Client& client, Gateway& gateway, KubeSourceOptions options = {});
  ~KubeSource();

  // Updates the gateway after every change, until cancelled.
  Task<void> run();
  // Afterwards: lets another gateway write status at once.
  Task<void> step_down();

  // Called with the objects of every update, after the gateway has it; for others who are fed from the same
  // objects. They are valid during the call only. Register before run().
  void on_update(std::function<void(const RouteObjects&)> callback);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::gateway
