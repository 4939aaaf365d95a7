// Why the pods of a workload do not come up: the one cause a person should read first. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kube/object.h"

namespace llmd::operators {

struct Trouble {
  std::string reason;   // ImageUnavailable, ModelFetchFailed, CrashLoopBackOff, Unschedulable, ...
  std::string message;  // names the pod and says why
};

// The gravest trouble among the pods; nullopt while they are merely on their way.
std::optional<Trouble> trouble_of(const std::vector<const kube::Object*>& pods);

}  // namespace llmd::operators
