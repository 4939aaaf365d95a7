// What render() cannot know from the manifest alone. The operator fills it from Kubernetes, the command line
// from files and defaults. Plain data.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "json/value.h"

namespace llmd::llmisvc {

enum class Platform {
  Local,    // one machine: pods are processes, plain HTTP on loopback addresses
  Cluster,  // Kubernetes
};

// A LLMInferenceServiceConfig that exists, and where its text is (for messages).
struct ConfigObject {
  json::Object object;
  std::string source = {};  // file, or "cluster"
};

// Another service of the same routing group (spec.router.route.group), as the routes of its peers name it.
struct GroupMember {
  std::string service = {};
  long long weight = 0;   // 0 while it is stopped
  bool has_pool = false;  // else its Service takes the requests
};

// Where autoscalers read how many replicas are wished for.
struct Prometheus {
  std::string url = "https://prometheus-k8s.monitoring.svc:9090";
  bool skips_verification = false;
  std::string auth_modes = {};  // with trigger_name, or neither
  std::string trigger_name = {};
  std::string trigger_kind = "TriggerAuthentication";
};

// Whether requests find their model by a header (KServe's ingress.modelBasedRoutingMode). Disabled and Forced
// ask nobody; Enabled leaves it to the Gateways: each may opt out.
enum class ModelRouting { Enabled, Disabled, Forced };
std::optional<ModelRouting> parse_model_routing(std::string_view text);

struct Facts {
  Platform platform = Platform::Cluster;
  std::string system_namespace = "kserve";
  std::string config_prefix = "kserve-";  // of preset names
  // A service keeps the presets it was first rendered with (presets.h), also under another prefix.
  bool pins_presets = true;
  // Key "namespace/name". A preset of the same name in the service's or the system namespace replaces the
  // built-in one.
  std::map<std::string, ConfigObject, std::less<>> configs = {};

  // The default Gateway, and whether it is ours to create.
  std::string gateway_name = "kserve-ingress-gateway";
  std::string gateway_namespace = "kserve";
  std::string gateway_class = "llmd";
  bool manages_gateway = false;
  int gateway_port = 80;

  // The gateway picks endpoints itself (always on one machine): no scheduler pods.
  bool picks_in_gateway = false;

  bool tls = false;  // between gateway, scheduler and model servers (never on one machine)
  std::string model_header = "X-Gateway-Model-Name";
  ModelRouting model_routing = ModelRouting::Enabled;
  std::set<std::string, std::less<>> gateways_without_model_routing = {};  // "namespace/name"

  std::string storage_initializer_image = "kserve/storage-initializer:latest";
  std::string cluster_domain = "cluster.local";
  // Which optional API groups are served; objects of others are left out.
  bool has_inference_pool_v1 = true;
  bool has_inference_pool_v1alpha2 = true;
  bool has_inference_model = false;
  bool has_inference_objective = false;
  bool has_monitors = true;  // PodMonitor and ServiceMonitor
  // ServiceAccounts and Secrets that exist, by "namespace/name" (remember() fills them): what a model is
  // downloaded with and images are pulled with. Only the names of a Secret's keys are looked at, never its
  // values.
  std::map<std::string, json::Object, std::less<>> service_accounts = {};
  std::map<std::string, json::Object, std::less<>> secrets = {};
  // Of the cluster's certificate authorities, for downloads: name of a ConfigMap in the service's namespace.
  std::string ca_bundle = {};
  std::vector<GroupMember> group_members = {};  // without the service itself
  Prometheus prometheus = {};
  // "namespace/name" -> data of ConfigMaps that services refer to (scheduler.config.ref).
  std::map<std::string, std::map<std::string, std::string>, std::less<>> config_maps = {};
};

// Adds a ServiceAccount, a Secret or what a Gateway's annotations say; other kinds are not facts.
void remember(Facts& facts, const json::Object& object);

// What is so on one machine: one Gateway of ours that picks endpoints itself, no pools, no certificates.
inline Facts local_facts(int gateway_port = 8080) {
  Facts facts{.platform = Platform::Local};
  facts.manages_gateway = true;
  facts.gateway_port = gateway_port;
  facts.picks_in_gateway = true;
  facts.pins_presets = false;  // there is one set of presets: the program's own
  facts.has_inference_pool_v1 = false;
  facts.has_inference_pool_v1alpha2 = false;
  return facts;
}

}  // namespace llmd::llmisvc
