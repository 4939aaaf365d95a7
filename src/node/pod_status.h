// The pod's status as Kubernetes clients read it, computed from what its containers do. Pure.
#pragma once

#include <string>
#include <vector>

#include "kube/object.h"
#include "node/container.h"

namespace llmd::node {

struct NamedStatus {
  std::string name;
  std::string image;
  ContainerStatus status;
};

struct PodFacts {
  std::string address;
  std::string host_address;
  WallTime now;
  std::vector<NamedStatus> init;
  std::vector<NamedStatus> containers;
  RestartPolicy restart_policy = RestartPolicy::Always;
};

// phase, conditions (PodScheduled, Initialized, ContainersReady, Ready), podIP, hostIP, startTime,
// (init)containerStatuses. `before` is the pod as the API has it: times of unchanged conditions are kept.
kube::Object pod_status(const kube::Object& before, const PodFacts& facts);

// What the API remembers about a container, for a node that starts again.
ContainerStatus remembered_status(const kube::Object& pod, std::string_view list, std::string_view container);

}  // namespace llmd::node
