#include "operator/world.h"

#include <boost/json.hpp>

#include "llmisvc/labels.h"

namespace llmd::operators {
namespace {

constexpr std::string_view kName = "app.kubernetes.io/name";
constexpr std::string_view kPartOfLabel = "app.kubernetes.io/part-of";
constexpr std::string_view kComponent = "app.kubernetes.io/component";
constexpr Duration kOptionalKindsWait = std::chrono::seconds(3);

bool belongs_to_a_service(const kube::Object& object) {
  return kube::label_of(object, kPartOfLabel) == llmisvc::kPartOf;
}

}  // namespace

World::World(async::EventLoop& loop, kube::Client& client)
    : services_(loop, client, kube::kLlmServices),
      configs_(loop, client, kube::kLlmConfigs),
      deployments_(loop, client, kube::kDeployments),
      core_services_(loop, client, kube::kServices),
      routes_(loop, client, kube::kHttpRoutes),
      gateways_(loop, client, kube::kGateways),
      pods_(loop, client, kube::kPods) {}

void World::on_change(std::function<void(const kube::ObjectKey&)> changed) {
  services_.on_change([changed](const kube::Object* before, const kube::Object* after) {
    changed(kube::key_of(after != nullptr ? *after : *before));
  });
  const auto all = [this, changed](const kube::Object*, const kube::Object*) {
    for (const auto& [key, service] : services_.objects()) {
      changed(key);
    }
  };
  configs_.on_change(all);
  gateways_.on_change(all);
  const auto owner = [changed](const kube::Object* before, const kube::Object* after) {
    const kube::Object& object = after != nullptr ? *after : *before;
    if (belongs_to_a_service(object)) {
      changed({.name_space = std::string(kube::namespace_of(object)),
               .name = std::string(kube::label_of(object, kName))});
    }
  };
  for (kube::Informer* informer : {&deployments_, &core_services_, &routes_, &pods_}) {
    informer->on_change(owner);
  }
}

std::vector<kube::Informer*> World::informers() {
  return {&services_, &configs_, &deployments_, &core_services_, &routes_, &gateways_, &pods_};
}

Task<void> World::synced() {
  for (kube::Informer* informer : {&services_, &configs_, &deployments_, &core_services_, &pods_}) {
    co_await informer->synced();
  }
  for (kube::Informer* informer : {&routes_, &gateways_}) {
    co_await async::finishes_by(async::Deadline::after(kOptionalKindsWait), informer->synced());
  }
}

kube::Informer* World::informer_of(const kube::Resource& resource) const {
  const std::pair<const kube::Resource*, kube::Informer*> table[] = {{&kube::kDeployments, &deployments_},
                                                                     {&kube::kServices, &core_services_},
                                                                     {&kube::kHttpRoutes, &routes_},
                                                                     {&kube::kGateways, &gateways_}};
  for (const auto& [known, informer] : table) {
    if (*known == resource) {
      return informer;
    }
  }
  return nullptr;
}

bool World::is_watched(const kube::Resource& resource) const {
  return informer_of(resource) != nullptr;
}

const kube::Object* World::find(const kube::Resource& resource, const kube::ObjectKey& key) const {
  const kube::Informer* informer = informer_of(resource);
  return informer == nullptr ? nullptr : informer->find(key);
}

std::vector<World::Child> World::children_of(std::string_view uid, std::string_view name_space) const {
  std::vector<Child> children;
  for (const kube::Resource* resource : {&kube::kDeployments, &kube::kServices, &kube::kHttpRoutes}) {
    for (const auto& [key, object] : informer_of(*resource)->objects()) {
      const kube::Object* controller = key.name_space == name_space ? kube::controller_of(object) : nullptr;
      if (controller != nullptr && kube::find_string(*controller, "uid") == uid) {
        children.push_back({.resource = resource, .object = &object});
      }
    }
  }
  return children;
}

std::vector<const kube::Object*> World::pods_of(const kube::ObjectKey& service,
                                                std::string_view component) const {
  std::vector<const kube::Object*> pods;
  for (const auto& [key, pod] : pods_.objects()) {
    if (key.name_space == service.name_space && kube::label_of(pod, kName) == service.name &&
        kube::label_of(pod, kComponent) == component && !kube::is_being_deleted(pod)) {
      pods.push_back(&pod);
    }
  }
  return pods;
}

void World::add_configs(llmisvc::Facts& facts) const {
  for (const auto& [key, config] : configs_.objects()) {
    facts.configs[key.to_string()] = {.object = config, .source = "cluster"};
  }
}

}  // namespace llmd::operators
