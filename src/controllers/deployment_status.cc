#include <boost/json.hpp>

#include "controllers/deployment.h"

namespace llmd::controllers {
namespace {

std::int64_t total(const std::vector<kube::Object>& owned, std::string_view field) {
  std::int64_t sum = 0;
  for (const kube::Object& replica_set : owned) {
    sum += kube::find_int(replica_set, field, 0);
  }
  return sum;
}

}  // namespace

kube::Object deployment_status(const kube::Object& deployment, const kube::Object& newest,
                               const std::vector<kube::Object>& owned, const std::string& now) {
  const auto wanted = kube::find_int(deployment, "spec.replicas", 1);
  const auto replicas = total(owned, "status.replicas");
  const auto available = total(owned, "status.availableReplicas");
  const auto updated = kube::find_int(newest, "status.replicas", 0);
  const auto max_unavailable = scaled_limit(
      kube::find(deployment, "spec.strategy.rollingUpdate.maxUnavailable"), static_cast<int>(wanted), false);
  const bool enough = available >= wanted - max_unavailable;
  const bool complete = updated == wanted && replicas == wanted && available >= wanted;

  kube::Object carrier;
  if (const auto* old = kube::find_array(deployment, "status.conditions")) {
    carrier["status"] = kube::Object{{"conditions", *old}};
  }
  kube::set_condition(
      carrier, "Available", enough ? "True" : "False",
      enough ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
      enough ? "Deployment has minimum availability." : "Deployment does not have minimum availability.",
      now);
  kube::set_condition(carrier, "Progressing", "True",
                      complete ? "NewReplicaSetAvailable" : "ReplicaSetUpdated",
                      fmt::format("ReplicaSet \"{}\" {}", kube::name_of(newest),
                                  complete ? "has successfully progressed." : "is progressing."),
                      now);
  return {{"observedGeneration", kube::generation_of(deployment)},
          {"replicas", replicas},
          {"updatedReplicas", updated},
          {"readyReplicas", total(owned, "status.readyReplicas")},
          {"availableReplicas", available},
          {"unavailableReplicas", std::max<std::int64_t>(0, wanted - available)},
          {"conditions", *kube::find_array(carrier, "status.conditions")}};
}

}  // namespace llmd::controllers
