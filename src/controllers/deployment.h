// Deployment: one ReplicaSet for every pod template it has had; rolls from the older ones to the newest.
#pragma once

#include "controllers/cluster_view.h"
#include "controllers/rollout.h"
#include "kube/controller.h"

namespace llmd::controllers {

class DeploymentController {
 public:
  explicit DeploymentController(ClusterView& view);
  Task<void> run() { return controller_.run(); }

 private:
  Task<Result<kube::Outcome>> reconcile(kube::ObjectKey key);
  Task<Result<kube::Object>> newest_replica_set(const kube::Object& deployment,
                                                const std::vector<kube::Object>& owned);
  Task<Result<void>> scale(const kube::Object& replica_set, int replicas);
  Task<Result<void>> roll(const kube::Object& deployment, const kube::Object& newest,
                          const std::vector<kube::Object>& older);
  Task<Result<void>> forget_old(const kube::Object& deployment, std::vector<kube::Object> older);
  Task<Result<void>> write_status(const kube::Object& deployment, const kube::Object& newest,
                                  const std::vector<kube::Object>& owned);

  ClusterView& view_;
  kube::Controller controller_;
};

// Stable over field order: the value of the label pod-template-hash.
std::string template_hash(const kube::Object& pod_template);

// status of a Deployment from its ReplicaSets; conditions Available and Progressing with Kubernetes' reasons.
// Pure.
kube::Object deployment_status(const kube::Object& deployment, const kube::Object& newest,
                               const std::vector<kube::Object>& owned, const std::string& now);

}  // namespace llmd::controllers
