// The operator's copies of what it watches, and the questions it asks of them. One loop.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kube/client.h"
#include "kube/informer.h"
#include "llmisvc/facts.h"

namespace llmd::operators {

class World {
 public:
  World(async::EventLoop& loop, kube::Client& client);

  // `changed` is called with the key of every service that a change may concern. Register before the
  // informers run.
  void on_change(std::function<void(const kube::ObjectKey&)> changed);
  std::vector<kube::Informer*> informers();
  // Completes when services, configs and their children are known; what a cluster may not serve (Gateway API)
  // is waited for only briefly.
  Task<void> synced();

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

 private:
  kube::Informer* informer_of(const kube::Resource& resource) const;

  kube::Informer mutable services_;
  kube::Informer mutable configs_;
  kube::Informer mutable deployments_;
  kube::Informer mutable core_services_;
  kube::Informer mutable routes_;
  kube::Informer mutable gateways_;
  kube::Informer mutable pods_;
};

}  // namespace llmd::operators
