// The arithmetic of a rolling update: how many pods of which generation there shall be next. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kube/object.h"

namespace llmd::controllers {

struct RolloutLimits {
  std::int64_t surge = 0;        // pods above the wanted number
  std::int64_t unavailable = 0;  // pods below it
};
// From spec.strategy.rollingUpdate; percentages of `replicas`, surge rounded up, unavailable down. Never both
// zero.
RolloutLimits rollout_limits(const kube::Object& deployment);

struct SetSize {
  std::int64_t replicas = 0;   // spec.replicas
  std::int64_t available = 0;  // status.availableReplicas
};
struct RolloutStep {
  std::int64_t fresh = 0;              // spec.replicas of the set of the newest template
  std::vector<std::int64_t> outdated;  // of the others, in the order given
};
RolloutStep next_rollout_step(std::int64_t wanted, RolloutLimits limits, SetSize fresh,
                              const std::vector<SetSize>& outdated);

// Stable text for a pod template: 10 letters and digits that cannot form words.
std::string template_hash(const kube::Object& pod_template, std::int64_t collisions);

}  // namespace llmd::controllers
