// Binds pods without a node to the one there is: the scheduler of a single machine.
#pragma once

#include "controllers/cluster_view.h"
#include "kube/controller.h"

namespace llmd::controllers {

class Binder {
 public:
  explicit Binder(ClusterView& view);
  Task<void> run() { return controller_.run(); }

 private:
  Task<Result<kube::Outcome>> reconcile(kube::ObjectKey key);

  ClusterView& view_;
  kube::Controller controller_;
};

}  // namespace llmd::controllers
