// The status of a service, computed from facts. Pure: no clock but `now`, no I/O.
//
// Conditions: PresetsCombined; MainWorkloadReady (WorkerWorkloadReady for groups), PrefillWorkloadReady and
// WorkloadsReady; GatewaysReady, HTTPRoutesReady, InferencePoolReady, SchedulerWorkloadReady and RouterReady;
// Ready over all of them. A pool is asked about when a route leads to it; without a route no gateway ever
// accepts it. ScalingReady and PrefillScalingReady belong to WorkloadsReady. Only for information, and there
// only where they have something to say: GroupReady, GroupDegraded and ModelNameCollision (True is bad) and
// MonitoringReady. Unlike KServe's, Ready is False when presets do not combine, and an unknown part is never
// counted as good.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "kube/object.h"
#include "llmisvc/compile.h"
#include "operator/pod_trouble.h"

namespace llmd::operators {

enum class Truth { True, False, Unknown };

struct Condition {
  std::string type;
  Truth truth = Truth::Unknown;
  std::string reason = {};
  std::string message = {};
};

// What stands between a service and its objects, although its manifest is right.
struct Obstacles {
  std::set<std::string> absent_kinds = {};   // rendered, and not served: a definition is not installed
  llmisvc::Findings immutable = {};          // what Kubernetes does not change in place
  std::vector<std::string> collisions = {};  // sentences: who else answers to the model's names
  std::vector<std::string> divergent = {};   // members of the routing group with other models
  bool monitors_absent = false;              // asked for, and their definitions are not installed
};

struct StatusFacts {
  const kube::Object* object = nullptr;  // the service as the API server has it
  const llmisvc::Compiled* compiled = nullptr;
  // Live children; null: not there yet.
  const kube::Object* main = nullptr;  // Deployment or LeaderWorkerSet
  const kube::Object* prefill = nullptr;
  const kube::Object* scheduler = nullptr;
  const kube::Object* main_scaler = nullptr;  // HorizontalPodAutoscaler or ScaledObject
  const kube::Object* prefill_scaler = nullptr;
  std::vector<const kube::Object*> routes = {};    // managed, or those the service refers to
  std::vector<std::string> missing_routes = {};    // referred to and not there
  std::vector<const kube::Object*> pools = {};     // the service's pool, in every API group that has it
  std::vector<const kube::Object*> gateways = {};  // of router.gateway.refs
  std::vector<std::string> missing_gateways = {};
  std::vector<const kube::Object*> main_pods = {};
  std::vector<const kube::Object*> prefill_pods = {};
  bool trusts_silent_gateway = false;
  bool picks_in_gateway = false;        // there is no scheduler workload to wait for
  std::string url = {};                 // where the service is reached; empty: unknown
  std::optional<Error> no_answer = {};  // asked through the gateway and not answered (yet)
  std::optional<Error> apply_error = {};
  Obstacles obstacles = {};
  kube::Object annotations = {};  // of the status: the presets it is held to
  std::string cluster_domain = "cluster.local";
};

// Annotated to be stopped: nothing of it runs, whatever else is wrong with it.
bool is_stopped(const kube::Object& service);

std::vector<Condition> conditions_of(const StatusFacts& facts);

// The whole status. What did not change keeps its time.
kube::Object status_of(const StatusFacts& facts, const std::string& now_rfc3339);

}  // namespace llmd::operators
