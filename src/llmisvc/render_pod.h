// The pod of a workload: launch command, model storage, adapters, certificates, what the platform needs.
#pragma once

#include "base/result.h"
#include "json/value.h"
#include "llmisvc/facts.h"
#include "llmisvc/service.h"

namespace llmd::llmisvc {

enum class PodRole { Single, Leader, Worker };

struct PodRequest {
  const Service& service;
  const Facts& facts;
  const Workload& workload;
  PodRole role = PodRole::Single;
  long long group_size = 1;          // pods of the group
  std::string service_account = {};  // when the template names none; empty: the namespace's default
};

// The pod's spec, from workload.pod (or workload.worker for PodRole::Worker).
Result<json::Object> render_pod(const PodRequest& request);

// True when the pod carries the prefill/decode sidecar, which must read pods and pools.
bool has_routing_sidecar(const json::Object& pod);

}  // namespace llmd::llmisvc
