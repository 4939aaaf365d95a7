// A namespace that is being deleted is emptied and then let go.
#pragma once

#include "controllers/cluster_view.h"
#include "kube/controller.h"

namespace llmd::controllers {

class NamespaceController {
 public:
  explicit NamespaceController(ClusterView& view);
  Task<void> run() { return controller_.run(); }

 private:
  Task<Result<kube::Outcome>> reconcile(kube::ObjectKey key);
  // How many objects are left after asking for the deletion of all.
  Task<Result<int>> empty(std::string name_space);

  ClusterView& view_;
  kube::Controller controller_;
};

}  // namespace llmd::controllers
