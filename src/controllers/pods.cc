#include "controllers/pods.h"

#include <tuple>

namespace llmd::controllers {

using kube::find_string;
using kube::Object;

bool is_controlled_by(const Object& pod, const Object& owner) {
  const Object* reference = kube::controller_of(pod);
  return reference && find_string(*reference, "uid") == kube::uid_of(owner);
}

bool is_finished(const Object& pod) {
  const std::string_view phase = find_string(pod, "status.phase");
  return phase == "Succeeded" || phase == "Failed";
}

bool is_active(const Object& pod) {
  return !is_finished(pod) && !kube::is_being_deleted(pod);
}

bool is_ready(const Object& pod) {
  const Object* condition = kube::find_condition(pod, "Ready");
  return condition && find_string(*condition, "status") == "True";
}

Availability availability_of(const std::vector<const Object*>& pods, std::int64_t min_ready_seconds,
                             const Clock& clock) {
  Availability result;
  for (const Object* pod : pods) {
    if (!is_ready(*pod)) {
      continue;
    }
    ++result.ready;
    const auto since = parse_rfc3339(find_string(*kube::find_condition(*pod, "Ready"), "lastTransitionTime"));
    const Duration missing =
        since ? std::chrono::seconds(min_ready_seconds) - (clock.wall_now() - *since) : Duration::zero();
    if (min_ready_seconds == 0 || missing <= Duration::zero()) {
      ++result.available;
    } else if (!result.look_again || missing < *result.look_again) {
      result.look_again = missing;
    }
  }
  return result;
}

bool goes_first(const Object* a, const Object* b) {
  const auto rank = [](const Object& pod) {
    const std::string_view phase = find_string(pod, "status.phase");
    return std::tuple(!find_string(pod, "spec.nodeName").empty(), phase == "Running", is_ready(pod));
  };
  const auto left = rank(*a);
  const auto right = rank(*b);
  if (left != right) {
    return left < right;
  }
  return find_string(*a, "metadata.creationTimestamp") > find_string(*b, "metadata.creationTimestamp");
}

}  // namespace llmd::controllers
