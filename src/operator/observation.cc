// What the operator sees of a service's objects in its copies of the cluster.
#include <boost/json.hpp>

#include <algorithm>

#include "llmisvc/check.h"
#include "llmisvc/child_name.h"
#include "llmisvc/labels.h"
#include "operator/operator_state.h"
#include "operator/resources.h"
#include "operator/service_url.h"

namespace llmd::operators {

Task<Obstacles> Operator::State::obstacles_of(const kube::Object& service, const llmisvc::Compiled& compiled,
                                              const llmisvc::Facts& facts,
                                              std::vector<std::string> divergent) {
  Obstacles obstacles{.divergent = std::move(divergent)};
  if (llmisvc::has_errors(compiled.findings) || compiled.service.stopped) {
    co_return obstacles;
  }
  const kube::ObjectKey key{.name_space = compiled.service.name_space, .name = compiled.service.name};
  obstacles.collisions = neighbours.collisions(key);
  if (options.platform != llmisvc::Platform::Cluster) {
    co_return obstacles;
  }
  for (const kube::Resource& resource : optional_resources()) {
    const bool is_rendered = std::ranges::any_of(compiled.objects, [&](const kube::Object& object) {
      const kube::Resource* known = resource_of(object);
      return known != nullptr && *known == resource;
    });
    if (is_rendered && !co_await kinds.serves(resource)) {
      obstacles.absent_kinds.emplace(resource.kind);
    }
  }
  obstacles.monitors_absent =
      !facts.has_monitors && kube::annotation_of(service, "serving.kserve.io/monitoring") == "true";
  const auto running = [&](std::string_view suffix) -> std::optional<long long> {
    const auto* group = world.find(kGroups, {key.name_space, llmisvc::child_name(key.name, suffix)});
    return group == nullptr
               ? std::nullopt
               : std::optional<long long>(kube::find_int(*group, "spec.leaderWorkerTemplate.size", 1));
  };
  obstacles.immutable = llmisvc::check_update(
      {.main = running("-kserve-mn"), .prefill = running("-kserve-mn-prefill")}, compiled.service);
  co_return obstacles;
}

StatusFacts Operator::State::status_facts(const kube::Object& service,
                                          const llmisvc::Compiled& compiled) const {
  StatusFacts facts{.object = &service, .compiled = &compiled, .trusts_silent_gateway = false};
  facts.trusts_silent_gateway = options.trusts_silent_gateway && options.platform == llmisvc::Platform::Local;
  facts.picks_in_gateway = options.platform == llmisvc::Platform::Local;
  if (llmisvc::has_errors(compiled.findings)) {
    return facts;
  }
  const kube::ObjectKey key = kube::key_of(service);
  const auto deployment = [&](std::string_view suffix) {
    return world.find(kube::kDeployments, {key.name_space, llmisvc::child_name(key.name, suffix)});
  };
  const auto group = [&](std::string_view suffix) {
    return world.find(kGroups, {key.name_space, llmisvc::child_name(key.name, suffix)});
  };
  const auto pods = [&](std::string_view first, std::string_view second) {
    auto all = world.pods_of(key, first);
    const auto more = world.pods_of(key, second);
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  if (compiled.service.main.worker) {
    facts.main = group("-kserve-mn");
    facts.main_pods = pods(llmisvc::kLeader, llmisvc::kWorker);
  } else {
    facts.main = deployment("-kserve");
    facts.main_pods = world.pods_of(key, llmisvc::kWorkload);
  }
  if (compiled.service.prefill && compiled.service.prefill->worker) {
    facts.prefill = group("-kserve-mn-prefill");
    facts.prefill_pods = pods(llmisvc::kPrefillLeader, llmisvc::kPrefillWorker);
  } else if (compiled.service.prefill) {
    facts.prefill = deployment("-kserve-prefill");
    facts.prefill_pods = world.pods_of(key, llmisvc::kPrefill);
  }
  if (compiled.service.has_managed_scheduler()) {
    facts.scheduler = deployment("-kserve-router-scheduler");
  }
  const auto scaler = [&](const llmisvc::Workload& workload, std::string_view middle) -> const kube::Object* {
    const bool by_keda = workload.scaling && kube::find_object(*workload.scaling, "wva.keda") != nullptr;
    return world.find(by_keda ? kScaledObjects : kAutoscalers,
                      {key.name_space, llmisvc::child_name(key.name, fmt::format("-kserve{}-{}", middle,
                                                                                 by_keda ? "keda" : "hpa"))});
  };
  facts.main_scaler = scaler(compiled.service.main, "");
  if (compiled.service.prefill) {
    facts.prefill_scaler = scaler(*compiled.service.prefill, "-prefill");
  }
  add_network(facts);
  return facts;
}

void Operator::State::add_network(StatusFacts& facts) const {
  const llmisvc::Service& service = facts.compiled->service;
  if (!service.router || service.stopped) {
    return;
  }
  for (const llmisvc::Reference& reference : service.router->gateways) {
    const kube::ObjectKey key{reference.name_space.empty() ? service.name_space : reference.name_space,
                              reference.name};
    const kube::Object* gateway = world.find(kube::kGateways, key);
    gateway != nullptr ? facts.gateways.push_back(gateway)
                       : facts.missing_gateways.push_back(key.to_string());
  }
  std::vector<std::string> names = service.router->routes;
  if (names.empty() && service.router->route_spec) {
    names.push_back(llmisvc::child_name(service.name, "-kserve-route"));
  }
  for (const std::string& name : names) {
    const kube::Object* route = world.find(kube::kHttpRoutes, {service.name_space, name});
    if (route != nullptr) {
      facts.routes.push_back(route);
    } else if (!service.router->routes.empty()) {
      facts.missing_routes.push_back(service.name_space + "/" + name);
    }
  }
  if (service.router->scheduler) {
    const auto& reference = service.router->scheduler->pool_ref;
    const std::string pool_name =
        reference ? *reference : llmisvc::child_name(service.name, "-inference-pool");
    for (const kube::Resource* resource : {&kPools, &kOldPools}) {
      if (const kube::Object* found = world.find(*resource, {service.name_space, pool_name})) {
        facts.pools.push_back(found);
      }
    }
  }
  facts.url = service.router->has_route ? url_of(service, facts.routes) : std::string();
}

std::string Operator::State::url_of(const llmisvc::Service& service,
                                    const std::vector<const kube::Object*>& routes) const {
  if (!options.gateway_url.empty()) {
    return fmt::format("{}/{}/{}", options.gateway_url, service.name_space, service.name);
  }
  return service_url(routes, [this](const kube::ObjectKey& key) { return world.find(kube::kGateways, key); });
}

}  // namespace llmd::operators
