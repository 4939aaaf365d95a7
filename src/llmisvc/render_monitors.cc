// PodMonitors of the model servers and a ServiceMonitor of the scheduler, for a service that asks for them
// with the annotation serving.kserve.io/monitoring: "true".
#include "json/path.h"
#include "llmisvc/child_name.h"
#include "llmisvc/labels.h"
#include "llmisvc/render_parts.h"

namespace llmd::llmisvc {
namespace {

constexpr std::string_view kGroup = "monitoring.coreos.com/v1";
constexpr std::string_view kInterval = "30s";

bool asks_for_monitors(const Service& service) {
  const auto* annotations = service.metadata.if_contains("annotations");
  const auto* wish = annotations != nullptr && annotations->is_object()
                         ? annotations->get_object().if_contains("serving.kserve.io/monitoring")
                         : nullptr;
  return wish != nullptr && *wish == json::Value("true");
}

json::Object endpoint(json::Value port, const Facts& facts) {
  const char* key = port.is_string() ? "port" : "targetPort";
  json::Object result{{"interval", text_value(kInterval)}, {"path", "/metrics"}};
  result[key] = std::move(port);
  if (facts.tls) {
    result["scheme"] = "https";
    result["tlsConfig"] = {{"insecureSkipVerify", true}};
  }
  return result;
}

// The model server's port: behind the routing sidecar that is not the pod's.
json::Value server_port(const Workload& workload) {
  const json::Value pod(workload.pod.value_or(json::Object()));
  const auto* containers = json::array_at(pod, "containers");
  for (const json::Value& container : containers != nullptr ? *containers : json::Array()) {
    if (json::string_at(container, "name") == "main") {
      return json::Value(json::int_at(container, "ports[0].containerPort").value_or(8000));
    }
  }
  return json::Value(8000);
}

json::Object pod_monitor(const Service& service, const Workload& workload, const Facts& facts,
                         std::string_view role) {
  const bool is_main = &workload == &service.main;
  json::Object object =
      child(service, kGroup, "PodMonitor",
            child_name(service.name, is_main ? "-kserve-monitor" : "-kserve-prefill-monitor"),
            labels_of(service, kWorkload));
  json::Object labels = pool_selector(service);
  if (!role.empty()) {
    labels["llm-d.ai/role"] = text_value(role);
  }
  object["spec"] = {{"podMetricsEndpoints", json::Array{endpoint(server_port(workload), facts)}},
                    {"selector", {{"matchLabels", std::move(labels)}}}};
  return object;
}

}  // namespace

void render_monitors(const Service& service, const Facts& facts, Objects& objects) {
  if (!asks_for_monitors(service) || !facts.has_monitors || facts.platform == Platform::Local) {
    return;
  }
  objects.push_back(pod_monitor(service, service.main, facts, service.prefill ? "decode" : ""));
  if (service.prefill) {
    objects.push_back(pod_monitor(service, *service.prefill, facts, "prefill"));
  }
  if (service.has_managed_scheduler() && !facts.picks_in_gateway) {
    json::Object object = child(service, kGroup, "ServiceMonitor", child_name(service.name, "-epp-monitor"),
                                labels_of(service, kScheduler));
    object["spec"] = {{"endpoints", json::Array{endpoint("metrics", facts)}},
                      {"selector", {{"matchLabels", labels_of(service, kScheduler)}}}};
    objects.push_back(std::move(object));
  }
}

}  // namespace llmd::llmisvc
