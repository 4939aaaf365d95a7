// The arithmetic of a rolling update, by the rules of Kubernetes' Deployment controller. Pure.
#pragma once

#include <boost/json/value.hpp>

#include <optional>
#include <vector>

namespace llmd::controllers {

// One ReplicaSet of a Deployment.
struct Generation {
  int wanted = 0;     // spec.replicas
  int actual = 0;     // status.replicas
  int available = 0;  // status.availableReplicas
};

struct RolloutPlan {
  int newest = 0;          // replicas the newest ReplicaSet shall have now
  std::vector<int> older;  // and the older ones, in the order given
};

struct RolloutLimits {
  int max_surge = 0;        // pods above the wanted number
  int max_unavailable = 0;  // pods below it
  bool recreate = false;    // all old ones end before the first new one starts
};

// `value` is a number or "25%" of `replicas`; surges round up, unavailability rounds down. Both 0: one may be
// missing.
int scaled_limit(const boost::json::value* value, int replicas, bool round_up);
RolloutLimits fenced(RolloutLimits limits);

// One step from where things are towards `replicas` pods of the newest generation.
RolloutPlan plan_rollout(int replicas, const RolloutLimits& limits, const Generation& newest,
                         const std::vector<Generation>& older);

}  // namespace llmd::controllers
