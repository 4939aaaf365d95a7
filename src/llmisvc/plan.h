// What a service needs: pods, containers and accelerators, counted from the rendered objects.
#pragma once

#include <string>
#include <vector>

#include "llmisvc/compile.h"

namespace llmd::llmisvc {

struct WorkloadPlan {
  std::string name;                               // of the Deployment or LeaderWorkerSet
  std::string role;                               // serving, prefill, decode, scheduler
  long long replicas = 1;                         // Deployment replicas or groups
  long long pods = 0;                             // replicas x pods per group
  std::vector<std::string> containers = {};       // that keep running, native sidecars among them
  std::vector<std::string> init_containers = {};  // that run once
  long long accelerators_per_pod = 0;

  long long accelerators() const { return pods * accelerators_per_pod; }
};

struct Plan {
  std::vector<WorkloadPlan> workloads;
  long long pods() const;
  long long accelerators() const;
};

Plan plan_of(const Compiled& compiled);

// The objects as YAML documents.
std::string objects_as_yaml(const std::vector<json::Object>& objects);
// One line per object, pods and containers below their workload.
std::string objects_as_tree(const Compiled& compiled);

}  // namespace llmd::llmisvc
