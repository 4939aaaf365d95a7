#include "operator/world.h"

#include <boost/json.hpp>

#include "async/with_deadline.h"
#include "base/strings.h"
#include "llmisvc/labels.h"
#include "operator/resources.h"

namespace llmd::operators {
namespace {

constexpr std::string_view kName = "app.kubernetes.io/name";
constexpr std::string_view kPartOfLabel = "app.kubernetes.io/part-of";
constexpr std::string_view kComponent = "app.kubernetes.io/component";
constexpr Duration kOptionalKindsWait = std::chrono::seconds(3);

std::string_view group_of(const kube::Object& service) {
  return kube::find_string(service, "spec.router.route.group");
}

// What it asks for; nothing while it is stopped or on its way out.
long long weight_of(const kube::Object& service) {
  const bool stopped = equals_ignoring_case(kube::annotation_of(service, "serving.kserve.io/stop"), "true");
  return stopped || kube::is_being_deleted(service) ? 0
                                                    : kube::find_int(service, "spec.router.route.weight", 0);
}

bool belongs_to_a_service(const kube::Object& object) {
  return kube::label_of(object, kPartOfLabel) == llmisvc::kPartOf;
}

}  // namespace

World::World(async::EventLoop& loop, kube::Client& client, llmisvc::Platform platform)
    : has_cluster_kinds_(platform == llmisvc::Platform::Cluster),
      services_(loop, client, kube::kLlmServices),
      configs_(loop, client, kube::kLlmConfigs),
      deployments_(loop, client, kube::kDeployments),
      core_services_(loop, client, kube::kServices),
      routes_(loop, client, kube::kHttpRoutes),
      gateways_(loop, client, kube::kGateways),
      pods_(loop, client, kube::kPods),
      groups_(loop, client, kGroups),
      pools_(loop, client, kPools),
      old_pools_(loop, client, kOldPools),
      autoscalers_(loop, client, kAutoscalers),
      scaled_objects_(loop, client, kScaledObjects) {}

void World::on_change(std::function<void(const kube::ObjectKey&)> changed) {
  services_.on_change([this, changed](const kube::Object* before, const kube::Object* after) {
    changed(kube::key_of(after != nullptr ? *after : *before));
    wake_peers(before, after, changed);
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
  for (kube::Informer* informer : {&deployments_, &core_services_, &routes_, &pods_, &groups_, &pools_,
                                   &old_pools_, &autoscalers_, &scaled_objects_}) {
    informer->on_change(owner);
  }
}

// Routes of a routing group name all its members: they change when a member comes, goes, stops or is weighted
// anew.
void World::wake_peers(const kube::Object* before, const kube::Object* after,
                       const std::function<void(const kube::ObjectKey&)>& changed) const {
  const auto share = [](const kube::Object* service) {
    return service == nullptr || group_of(*service).empty()
               ? std::string()
               : fmt::format("{} {} {}", group_of(*service), weight_of(*service),
                             kube::find_object(*service, "spec.router.scheduler") != nullptr);
  };
  if (share(before) == share(after)) {
    return;
  }
  const kube::Object& one = after != nullptr ? *after : *before;
  for (const auto& [key, service] : services_.objects()) {
    const bool is_peer =
        !group_of(service).empty() && ((before != nullptr && group_of(service) == group_of(*before)) ||
                                       (after != nullptr && group_of(service) == group_of(*after)));
    if (is_peer && key.name_space == kube::namespace_of(one) && key.name != kube::name_of(one)) {
      changed(key);
    }
  }
}

std::vector<kube::Informer*> World::informers() {
  std::vector<kube::Informer*> all{&services_, &configs_,  &deployments_, &core_services_,
                                   &routes_,   &gateways_, &pods_};
  if (has_cluster_kinds_) {
    all.insert(all.end(), {&groups_, &pools_, &old_pools_, &autoscalers_, &scaled_objects_});
  }
  return all;
}

Task<void> World::synced(ServedKinds& kinds) {
  for (kube::Informer* informer : {&services_, &configs_, &deployments_, &core_services_, &pods_}) {
    co_await informer->synced();
  }
  const auto deadline = async::Deadline::after(kOptionalKindsWait);
  for (const auto& [resource, informer] : table()) {
    const bool is_optional = resource->group.find('.') != std::string_view::npos;
    if (is_optional && co_await kinds.serves(*resource)) {
      (void)co_await async::finishes_by(deadline, informer->synced());
    }
  }
}

std::vector<std::pair<const kube::Resource*, kube::Informer*>> World::table() const {
  std::vector<std::pair<const kube::Resource*, kube::Informer*>> rows{{&kube::kDeployments, &deployments_},
                                                                      {&kube::kServices, &core_services_},
                                                                      {&kube::kHttpRoutes, &routes_},
                                                                      {&kube::kGateways, &gateways_}};
  if (has_cluster_kinds_) {
    rows.insert(rows.end(), {{&kGroups, &groups_},
                             {&kPools, &pools_},
                             {&kOldPools, &old_pools_},
                             {&kAutoscalers, &autoscalers_},
                             {&kScaledObjects, &scaled_objects_}});
  }
  return rows;
}

kube::Informer* World::informer_of(const kube::Resource& resource) const {
  for (const auto& [known, informer] : table()) {
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
  for (const auto& [resource, informer] : table()) {
    for (const auto& [key, object] : informer->objects()) {
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

void World::add_group_members(const kube::Object& service, llmisvc::Facts& facts) const {
  const std::string_view group = group_of(service);
  for (const auto& [key, peer] : services_.objects()) {
    if (group.empty() || group_of(peer) != group || key.name_space != kube::namespace_of(service) ||
        key.name == kube::name_of(service)) {
      continue;
    }
    facts.group_members.push_back({.service = key.name,
                                   .weight = weight_of(peer),
                                   .has_pool = kube::find_object(peer, "spec.router.scheduler") != nullptr});
  }
}

void World::add_gateways(llmisvc::Facts& facts) const {
  for (const auto& [key, gateway] : gateways_.objects()) {
    if (kube::annotation_of(gateway, llmisvc::kModelRouting) == "false") {
      facts.gateways_without_model_routing.insert(key.to_string());
    }
  }
}

void World::add_configs(llmisvc::Facts& facts) const {
  for (const auto& [key, config] : configs_.objects()) {
    facts.configs[key.to_string()] = {.object = config, .source = "cluster"};
  }
}

}  // namespace llmd::operators
