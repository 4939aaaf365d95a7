// Typed view of a merged and expanded LLMInferenceService: what render and check need to understand. Pod
// templates and everything that is only passed through stay JSON, so that no field is lost.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "json/value.h"

namespace llmd::llmisvc {

struct Parallelism {
  std::optional<long long> tensor = {};
  std::optional<long long> pipeline = {};
  std::optional<long long> data = {};
  std::optional<long long> data_local = {};
  std::optional<long long> data_rpc_port = {};
  bool expert = false;

  bool is_data_parallel() const { return data.has_value() || data_local.has_value(); }
  // Pods of one group: data / dataLocal, else the pipeline's stages; nullopt when neither is set.
  std::optional<long long> group_size() const;
  // Accelerators one pod needs: tensor x dataLocal, and the whole pipeline when it stays in one pod.
  long long accelerators_per_pod(bool multi_node) const;
};

struct Workload {
  std::string path = "spec";  // where it stands in the service: "spec" or "spec.prefill"
  std::optional<long long> replicas = {};
  Parallelism parallelism = {};
  json::Object labels = {};
  json::Object annotations = {};
  std::optional<json::Object> pod = {};     // template
  std::optional<json::Object> worker = {};  // its presence makes groups of pods
  std::optional<json::Object> scaling = {};
  std::optional<json::Object> kv_cache = {};
};

struct Adapter {
  std::string name;
  std::string uri;
};

struct Model {
  std::string uri;
  std::string name;
  std::string criticality = {};        // Critical, Standard, Sheddable or empty
  std::vector<Adapter> adapters = {};  // sorted by name
  std::optional<long long> lora_max_rank = {};
  std::optional<long long> lora_max_adapters = {};
  std::optional<long long> lora_max_cpu_adapters = {};
};

struct Reference {
  std::string name_space = {};  // empty: that of the service
  std::string name;
  std::string section = {};
};

struct Scheduler {
  std::optional<std::string> pool_ref = {};
  std::optional<json::Object> pool_spec = {};
  std::optional<json::Object> pod = {};
  json::Object labels = {};
  json::Object annotations = {};
  std::optional<long long> replicas = {};
  std::optional<json::Value> config = {};  // inline, or what the reference led to
};

struct Router {
  bool has_gateway = false;
  std::vector<Reference> gateways = {};
  bool has_route = false;
  std::vector<std::string> routes = {};  // that exist already
  std::optional<json::Object> route_spec = {};
  std::vector<Reference> ingresses = {};
  bool has_ingress = false;
  std::optional<Scheduler> scheduler = {};
};

struct Service {
  std::string api_version;
  std::string name;
  std::string name_space;
  std::string uid = {};
  bool stopped = false;
  bool mounts_model = true;  // storageInitializer.enabled
  json::Object metadata = {};
  Model model;
  Workload main;
  std::optional<Workload> prefill = {};
  std::optional<Router> router = {};
  std::optional<json::Object> tracing = {};
  json::Object spec = {};  // the whole, as merged

  bool has_managed_scheduler() const {
    return router && router->scheduler && router->scheduler->pod && !router->scheduler->pool_ref;
  }
};

// `object`: apiVersion, metadata and the merged spec. The spec must have passed check_schema.
Service view_of(const json::Object& object);

}  // namespace llmd::llmisvc
