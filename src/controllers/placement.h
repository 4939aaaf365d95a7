// Which node a pod can run on. Pure.
#pragma once

#include <string>
#include <vector>

#include "kube/object.h"

namespace llmd::controllers {

struct Placement {
  std::string node;    // empty: none
  std::string reason;  // then why: "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
};

// `pods` are all pods; those on a node take its extended resources (GPUs). CPU and memory are not counted: on
// one machine requests are written for other machines, and the kernel shares both.
Placement place(const kube::Object& pod, const std::vector<const kube::Object*>& nodes,
                const std::vector<const kube::Object*>& pods);

}  // namespace llmd::controllers
