// What a service needs: pods, containers and accelerators, counted from the rendered objects, and the memory
// of an accelerator where the model's sizes are known.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "llmisvc/check.h"
#include "llmisvc/compile.h"

namespace llmd::llmisvc {

struct WorkloadPlan {
  std::string name;                               // of the Deployment or LeaderWorkerSet
  std::string role;                               // serving, prefill, decode, scheduler
  long long replicas = 1;                         // Deployment replicas or groups
  long long pods = 0;                             // replicas x pods per group
  std::vector<std::string> containers = {};       // that run side by side, native sidecars not among them
  std::vector<std::string> sidecars = {};         // init containers that keep running
  std::vector<std::string> init_containers = {};  // that run once
  long long accelerators_per_pod = 0;
  std::optional<MemoryNeed> need = {};  // per accelerator; absent when the model's sizes are unknown
  std::optional<MemoryFit> fit = {};    // absent when no GPU was named

  long long accelerators() const { return pods * accelerators_per_pod; }
  long long containers_running() const {
    return pods * static_cast<long long>(containers.size() + sidecars.size());
  }
  // Of all replicas; 0 when unknown.
  long long kv_tokens() const { return fit ? fit->kv_tokens * replicas : 0; }
  long long requests() const { return fit ? fit->requests * replicas : 0; }
};

struct Plan {
  std::string service;  // namespace/name
  std::string uri;
  std::optional<ModelShape> model = {};
  std::string gpu = {};  // as asked
  std::vector<WorkloadPlan> workloads = {};
  std::vector<std::string> advice = {};  // the guide's for a model of this size

  long long pods() const;
  long long accelerators() const;
};

Plan plan_of(const Compiled& compiled, const MemoryQuestion& question = {});

// A table with a total, and the memory of an accelerator line by line.
std::string plan_as_text(const Plan& plan);
json::Object plan_as_json(const Plan& plan);

// The objects as YAML documents.
std::string objects_as_yaml(const std::vector<json::Object>& objects);

}  // namespace llmd::llmisvc
