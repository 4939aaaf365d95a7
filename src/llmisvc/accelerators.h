// Accelerators per pod, parallelism and group size belong together: two of them give the third.
//
//  1. Nothing requested, parallelism stated: each pod requests what its share needs.
//  2. Requests and limits of accelerators are made equal (Kubernetes allows nothing else).
//  3. A group with pipeline stages has pipeline x tensor / accelerators per pod pods.
//     A tensor alone that is wider than a pod is a pipeline of one stage: where no pod states its
//     accelerators, a leader and one worker share it, as the guide draws groups (a warning says so).
//  4. Without a tensor size, a group of stated accelerators per pod is a leader and one worker, and the
//  tensor size is
//     what fills it (a warning says so).
#pragma once

#include <optional>

#include "json/value.h"
#include "llmisvc/finding.h"
#include "llmisvc/service.h"

namespace llmd::llmisvc {

// Rules 1, 2 and 4 on the merged spec; `service` is its view.
void set_accelerators(json::Object& spec, const Service& service, Findings& findings);

// What container `main` of a pod requests; nullopt when nothing is stated.
std::optional<long long> accelerators_of(const json::Object& pod);

// Rule 3, or data / dataLocal.
long long group_size_of(const Workload& workload);

void check_accelerators(const Workload& workload, Findings& findings);

}  // namespace llmd::llmisvc
