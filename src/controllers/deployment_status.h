// status of a Deployment from its sets: numbers, and the conditions `kubectl rollout status` and `wait` read.
// Pure.
#pragma once

#include <optional>
#include <vector>

#include "base/clock.h"
#include "kube/object.h"

namespace llmd::controllers {

// `fresh` is the set of the newest template, null when there is none yet. Returns when to look again although
// nothing changes (the progress deadline).
std::optional<Duration> fill_deployment_status(kube::Object& deployment, const kube::Object* fresh,
                                               const std::vector<kube::Object>& outdated, WallTime now);

}  // namespace llmd::controllers
