// Who may serve models: pools, services and pods found among Kubernetes objects (of a cluster, of our own API
// server, or from files), and entries made by hand. Plain data; any thread.
//
// What counts as a backend:
//   pool     every InferencePool; a Service named infra-*-inference-gateway* (a gateway in front of a pool)
//   service  a Service labelled or annotated llmd.dev/unified: "true", one that belongs to an
//            LLMInferenceService, one that selects or is labelled with llm-d.ai/inference-serving, and every
//            Service that an HTTPRoute refers to
//   pod      a ready Pod whose label llm-d.ai/role answers clients (decode, both, prefill-decode, ...)
// Never: headless shadow Services of pools (NAME-ip-HASH), which would go around the pool's picker.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/build_routes.h"
#include "kube/object.h"
#include "picker/endpoint.h"

namespace llmd::gateway {

// The preferred first.
enum class Via { Manual, Pool, Service, Pod };
std::string_view to_string(Via via);

struct ModelTarget {
  std::string key;  // of the route table's backend if it has one: "namespace/name:port", "InferencePool/..."
  Via via = Via::Service;
  // Where only the name counts: may be named by hand, is not asked for models by itself.
  bool discovered = true;
  std::string owner;                // as somebody said; empty: what the engine says
  std::string engine;               // llm-d.ai/engine-type, where the engine says nothing
  std::vector<std::string> models;  // known before an engine answers
  std::vector<picker::Endpoint> endpoints;
  std::size_t not_ready = 0;
  std::map<std::string, int, std::less<>> priorities = {};  // of a pool, by InferenceObjective
  BackendProtocol protocol = {};
  std::optional<ExternalPicker> external = {};  // asked instead of picking in process
  double weight = 1;                            // share of requests among targets that serve the same
  bool operator==(const ModelTarget&) const = default;
};

// LLMInferenceServices among the objects tell the names of models before an engine answers. Services that
// must not be spoken to (a BackendTLSPolicy that cannot be followed) have no endpoints. `external_pickers`:
// as BuildOptions. Pods behind a Service are spoken to as the Service says.
std::vector<ModelTarget> build_model_targets(const RouteObjects& objects, bool external_pickers = false);

// Adds the backends of routes that are not among the targets.
void add_route_backends(const RouteTable& table, std::vector<ModelTarget>& targets);

}  // namespace llmd::gateway
