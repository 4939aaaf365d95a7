// Models routed by hand, kept in a ConfigMap: every replica of a gateway has them, and they outlive all
// replicas. One loop.
#pragma once

#include <functional>
#include <memory>

#include "gateway/manual_routes.h"
#include "kube/client.h"

namespace llmd::gateway {

// A change of the entries; how many it concerned.
using RouteEdit = std::function<Result<int>(ManualRoutes&)>;

class ConfigMapRoutes {
 public:
  // The client outlives this.
  ConfigMapRoutes(async::EventLoop& loop, kube::Client& client, kube::ObjectKey key);
  ~ConfigMapRoutes();

  // Called when the entries have been read and after every change, whoever made it. A ConfigMap that cannot
  // be understood leaves the entries from before.
  void on_change(std::function<void(const ManualRoutes&)> changed);
  // Changes what the ConfigMap holds now, and again when somebody else was faster; makes it when it is not
  // there. What it cannot understand it does not overwrite.
  Task<Result<int>> edit(RouteEdit change);
  // Follows the ConfigMap until cancelled.
  Task<void> run();
  // Completes when it has been read, or is known not to be there.
  Task<void> synced();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::gateway
