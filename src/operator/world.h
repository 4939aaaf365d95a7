// The operator's copies of what it watches, and the questions it asks of them. One loop.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kube/client.h"
#include "kube/informer.h"
#include "llmisvc/facts.h"
#include "operator/served_kinds.h"

namespace llmd::operators {

class World {
 public:
  // One machine has no groups of pods and no pools: they are watched on a cluster only.
  World(async::EventLoop& loop, kube::Client& client, llmisvc::Platform platform);

  // `changed` is called with the key of every service that a change may concern. Register before the
  // informers run.
  void on_change(std::function<void(const kube::ObjectKey&)> changed);
  std::vector<kube::Informer*> informers();
  // Completes when services, configs and their children are known; what a cluster may not serve (Gateway API)
  // is waited for only where it is served, and briefly.
  Task<void> synced(ServedKinds& kinds);

  const kube::Object* service(const kube::ObjectKey& key) const { return services_.find(key); }
  // The live object of a watched kind; null when absent. `watched` says whether the kind is watched at all.
  const kube::Object* find(const kube::Resource& resource, const kube::ObjectKey& key) const;
  bool is_watched(const kube::Resource& resource) const;

  struct Child {
    const kube::Resource* resource;
    const kube::Object* object;
  };
  // Watched objects whose controller is the object with this uid.
  std::vector<Child> children_of(std::string_view uid, std::string_view name_space) const;
  // Pods by the value of their app.kubernetes.io/component label.
  std::vector<const kube::Object*> pods_of(const kube::ObjectKey& service, std::string_view component) const;

  void add_configs(llmisvc::Facts& facts) const;
  // The other services of the routing group of `service`.
  void add_group_members(const kube::Object& service, llmisvc::Facts& facts) const;
  void add_gateways(llmisvc::Facts& facts) const;

 private:
  std::vector<std::pair<const kube::Resource*, kube::Informer*>> table() const;
  kube::Informer* informer_of(const kube::Resource& resource) const;
  void wake_peers(const kube::Object* before, const kube::Object* after,
                  const std::function<void(const kube::ObjectKey&)>& changed) const;

  bool has_cluster_kinds_;
  kube::Informer mutable services_;
  kube::Informer mutable configs_;
  kube::Informer mutable deployments_;
  kube::Informer mutable core_services_;
  kube::Informer mutable routes_;
  kube::Informer mutable gateways_;
  kube::Informer mutable pods_;
  kube::Informer mutable groups_;
  kube::Informer mutable pools_;
  kube::Informer mutable old_pools_;
  kube::Informer mutable autoscalers_;
  kube::Informer mutable scaled_objects_;
};

}  // namespace llmd::operators
