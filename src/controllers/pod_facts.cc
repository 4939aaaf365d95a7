#include "controllers/pod_facts.h"

#include <tuple>

namespace llmd::controllers {

bool is_pod_ready(const kube::Object& pod) {
  const auto* ready = kube::find_condition(pod, "Ready");
  return ready != nullptr && kube::find_string(*ready, "status") == "True";
}

bool is_pod_active(const kube::Object& pod) {
  const auto phase = kube::find_string(pod, "status.phase");
  return phase != "Succeeded" && phase != "Failed" && !kube::is_being_deleted(pod);
}

bool goes_before(const kube::Object& a, const kube::Object& b) {
  const auto rank = [](const kube::Object& pod) {
    return std::tuple(!kube::find_string(pod, "spec.nodeName").empty(),
                      kube::find_string(pod, "status.phase") == "Running", is_pod_ready(pod));
  };
  if (rank(a) != rank(b)) {
    return rank(a) < rank(b);
  }
  const auto created = [](const kube::Object& pod) {
    return kube::find_string(pod, "metadata.creationTimestamp");
  };
  return created(a) != created(b) ? created(a) > created(b) : kube::name_of(a) > kube::name_of(b);
}

}  // namespace llmd::controllers
