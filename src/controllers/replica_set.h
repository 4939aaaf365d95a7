// ReplicaSet: as many active pods as spec.replicas says.
#pragma once

#include "controllers/cluster_view.h"
#include "controllers/expectations.h"
#include "kube/controller.h"

namespace llmd::controllers {

class ReplicaSetController {
 public:
  explicit ReplicaSetController(ClusterView& view);
  Task<void> run() { return controller_.run(); }

 private:
  void observe_pod(const kube::Object* before, const kube::Object* after);
  Task<Result<kube::Outcome>> reconcile(kube::ObjectKey key);
  Task<Result<void>> create_pods(const kube::Object& replica_set, int count);
  Task<Result<void>> delete_pods(const kube::Object& replica_set, std::vector<const kube::Object*> active,
                                 int count);
  Task<Result<void>> write_status(const kube::Object& replica_set,
                                  const std::vector<const kube::Object*>& active);

  ClusterView& view_;
  Expectations expectations_;
  kube::Controller controller_;
};

// A pod of `owner` (anything with spec.template), named with a random suffix. Pure but for the name.
kube::Object pod_from_template(const kube::Object& owner);

}  // namespace llmd::controllers
