#include "controllers/deployment_status.h"

#include <boost/json/array.hpp>

#include "controllers/rollout.h"

namespace llmd::controllers {

namespace {

using kube::find_int;
using kube::find_object;
using kube::find_string;
using kube::Object;

struct Numbers {
  std::int64_t replicas = 0;
  std::int64_t updated = 0;
  std::int64_t ready = 0;
  std::int64_t available = 0;

  void add(const Object& set) {
    replicas += find_int(set, "status.replicas", 0);
    ready += find_int(set, "status.readyReplicas", 0);
    available += find_int(set, "status.availableReplicas", 0);
  }
};

void put(Object& status, std::string_view key, std::int64_t number) {
  if (number != 0) {
    status[key] = number;
  } else {
    status.erase(key);
  }
}

// Like kube::set_condition, with the update time that deployments have besides.
void set_condition(Object& deployment, std::string_view type, std::string_view status,
                   std::string_view reason, const std::string& message, const std::string& now, bool touch) {
  const Object* old = kube::find_condition(deployment, type);
  const bool changed = !old || find_string(*old, "status") != status || find_string(*old, "reason") != reason;
  kube::set_condition(deployment, type, status, reason, message, now);
  if (changed || touch) {
    const_cast<Object&>(*kube::find_condition(deployment, type))["lastUpdateTime"] = now;
  }
}

}  // namespace

std::optional<Duration> fill_deployment_status(Object& deployment, const Object* fresh,
                                               const std::vector<Object>& outdated, WallTime wall_now) {
  const std::string now = to_rfc3339(wall_now);
  const std::int64_t wanted = find_int(deployment, "spec.replicas", 1);
  Numbers numbers;
  for (const Object& set : outdated) {
    numbers.add(set);
  }
  if (fresh) {
    numbers.add(*fresh);
    numbers.updated = find_int(*fresh, "status.replicas", 0);
  }
  const std::int64_t before_updated = find_int(deployment, "status.updatedReplicas", 0);
  const std::int64_t before_available = find_int(deployment, "status.availableReplicas", 0);
  const std::int64_t before_replicas = find_int(deployment, "status.replicas", 0);
  boost::json::value& status_value = deployment["status"];
  if (!status_value.is_object()) {
    status_value.emplace_object();
  }
  Object& status = status_value.get_object();
  status["observedGeneration"] = kube::generation_of(deployment);
  put(status, "replicas", numbers.replicas);
  put(status, "updatedReplicas", numbers.updated);
  put(status, "readyReplicas", numbers.ready);
  put(status, "availableReplicas", numbers.available);
  put(status, "unavailableReplicas", std::max<std::int64_t>(0, wanted - numbers.available));

  const std::int64_t least = wanted - rollout_limits(deployment).unavailable;
  const bool enough = numbers.available >= std::max<std::int64_t>(0, least);
  set_condition(
      deployment, "Available", enough ? "True" : "False",
      enough ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
      enough ? "Deployment has minimum availability." : "Deployment does not have minimum availability.", now,
      false);

  const std::string name = fresh ? std::string(kube::name_of(*fresh)) : std::string();
  if (kube::find_bool(deployment, "spec.paused", false)) {
    set_condition(deployment, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused", now,
                  false);
    return std::nullopt;
  }
  const bool complete =
      fresh && numbers.updated == wanted && numbers.replicas == wanted && numbers.available == wanted;
  if (complete) {
    set_condition(deployment, "Progressing", "True", "NewReplicaSetAvailable",
                  fmt::format("ReplicaSet \"{}\" has successfully progressed.", name), now, false);
    return std::nullopt;
  }
  const Object* old = kube::find_condition(deployment, "Progressing");
  const std::string old_reason(old ? find_string(*old, "reason") : std::string_view());
  const bool progressed = numbers.updated > before_updated || numbers.available > before_available ||
                          (numbers.replicas - numbers.updated) < (before_replicas - before_updated);
  // A finished rollout that lost a pod is not a new rollout: its deadline does not run.
  const bool same_set =
      old && std::string_view(find_string(*old, "message")).find("\"" + name + "\"") != std::string::npos;
  if (old_reason == "NewReplicaSetAvailable" && same_set) {
    return std::nullopt;
  }
  if (!old || progressed || !same_set) {
    set_condition(deployment, "Progressing", "True", "ReplicaSetUpdated",
                  fmt::format("ReplicaSet \"{}\" is progressing.", name), now, true);
    return std::chrono::seconds(find_int(deployment, "spec.progressDeadlineSeconds", 600) + 1);
  }
  if (old_reason == "ProgressDeadlineExceeded") {
    return std::nullopt;
  }
  const auto since = parse_rfc3339(find_string(*old, "lastUpdateTime"));
  const Duration deadline = std::chrono::seconds(find_int(deployment, "spec.progressDeadlineSeconds", 600));
  const Duration passed = since ? wall_now - *since : Duration::zero();
  if (passed <= deadline) {
    return deadline - passed + std::chrono::seconds(1);
  }
  set_condition(deployment, "Progressing", "False", "ProgressDeadlineExceeded",
                fmt::format("ReplicaSet \"{}\" has timed out progressing.", name), now, false);
  return std::nullopt;
}

}  // namespace llmd::controllers
