// Services of the workload, the HTTPRoute, the managed Gateway and the Ingress.
#include "json/path.h"
#include "llmisvc/child_name.h"
#include "llmisvc/labels.h"
#include "llmisvc/render_parts.h"
#include "llmisvc/route_group.h"

namespace llmd::llmisvc {
namespace {

constexpr int kPort = 8000;

json::Object service_object(const Service& service, const Facts& facts, std::string name,
                            json::Object selector) {
  json::Object object = child(service, "v1", "Service", std::move(name), labels_of(service, kWorkload));
  auto& metadata = object["metadata"].as_object();
  for (const auto& member : service.main.labels) {
    metadata["labels"].as_object()[member.key()] = member.value();
  }
  json::Object annotations = service.main.annotations;
  annotations.erase(kModelRouting);
  if (!annotations.empty()) {
    metadata["annotations"] = std::move(annotations);
  }
  const char* scheme = facts.tls ? "https" : "http";
  object["spec"] = {{"ports", json::Array{json::Object{{"appProtocol", scheme},
                                                       {"name", scheme},
                                                       {"port", kPort},
                                                       {"protocol", "TCP"},
                                                       {"targetPort", kPort}}}},
                    {"selector", std::move(selector)},
                    {"type", "ClusterIP"}};
  return object;
}

json::Object role_selector(const Service& service, std::string_view role) {
  json::Object selector = pool_selector(service);
  selector["llm-d.ai/role"] = text_value(role);
  return selector;
}

// The default Gateway belongs to all services of the machine or cluster: no owner, and nobody deletes it.
void render_gateway(const Service& service, const Facts& facts, Objects& objects) {
  if (!facts.manages_gateway || !service.router->has_gateway || !service.router->gateways.empty()) {
    return;
  }
  json::Object listener{{"allowedRoutes", {{"namespaces", {{"from", "All"}}}}},
                        {"name", "http"},
                        {"port", facts.gateway_port},
                        {"protocol", "HTTP"}};
  objects.push_back(
      {{"apiVersion", "gateway.networking.k8s.io/v1"},
       {"kind", "Gateway"},
       {"metadata",
        {{"labels", {{"app.kubernetes.io/managed-by", "llmd"}}},
         {"name", facts.gateway_name},
         {"namespace", facts.gateway_namespace}}},
       {"spec",
        {{"gatewayClassName", facts.gateway_class}, {"listeners", json::Array{std::move(listener)}}}}});
}

// The path rule of the HTTPRoute, for those who have an Ingress controller and no Gateway.
void render_ingress(const Service& service, Objects& objects) {
  if (service.router->ingresses.empty()) {
    return;
  }
  json::Object backend{
      {"service",
       {{"name", child_name(service.name, "-kserve-workload-svc")}, {"port", {{"number", kPort}}}}}};
  json::Object path{{"backend", std::move(backend)},
                    {"path", fmt::format("/{}/{}(/|$)(.*)", service.name_space, service.name)},
                    {"pathType", "ImplementationSpecific"}};
  json::Object ingress = child(service, "networking.k8s.io/v1", "Ingress",
                               child_name(service.name, "-kserve-ingress"), labels_of(service, kRouter));
  ingress["metadata"].as_object()["annotations"] = {{"nginx.ingress.kubernetes.io/rewrite-target", "/$2"},
                                                    {"nginx.ingress.kubernetes.io/use-regex", "true"}};
  ingress["spec"] = {
      {"rules", json::Array{json::Object{{"http", {{"paths", json::Array{std::move(path)}}}}}}}};
  objects.push_back(std::move(ingress));
}

}  // namespace

void render_services(const Service& service, const Facts& facts, Objects& objects) {
  objects.push_back(service_object(service, facts, child_name(service.name, "-kserve-workload-svc"),
                                   pool_selector(service)));
  // The guide's names; with a prefill half each half has its own.
  objects.push_back(
      service_object(service, facts, child_name(service.name, "-kserve-svc"),
                     service.prefill ? role_selector(service, "decode") : pool_selector(service)));
  if (service.prefill) {
    objects.push_back(service_object(service, facts, child_name(service.name, "-kserve-prefill-svc"),
                                     role_selector(service, "prefill")));
  }
}

void render_routes(const Service& service, const Facts& facts, Objects& objects) {
  if (!service.router) {
    return;
  }
  render_gateway(service, facts, objects);
  if (service.router->route_spec && service.router->routes.empty()) {
    json::Object route = child(service, "gateway.networking.k8s.io/v1", "HTTPRoute",
                               child_name(service.name, "-kserve-route"), labels_of(service, kRouter));
    if (const std::string group = routing_group(service); !group.empty()) {
      route["metadata"].as_object()["labels"].as_object()["serving.kserve.io/routing-group"] = group;
    }
    route["spec"] = *service.router->route_spec;
    objects.push_back(std::move(route));
  }
  render_ingress(service, objects);
}

}  // namespace llmd::llmisvc
