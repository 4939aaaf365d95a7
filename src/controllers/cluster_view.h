// The informers that the controllers share: one watch per kind, whoever needs it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "async/scope.h"
#include "kube/informer.h"

namespace llmd::controllers {

class ClusterView {
 public:
  ClusterView(async::EventLoop& loop, kube::Client& client);

  kube::Client& client() { return client_; }
  async::EventLoop& loop() { return loop_; }
  // The informer of a kind; every kind of kube::known_resources() but Events has one.
  kube::Informer& of(const kube::Resource& resource);
  // Calls back for every change of every kind.
  void on_any_change(
      std::function<void(const kube::Resource&, const kube::Object* before, const kube::Object* after)>
          callback);

  void start(async::Scope& scope);  // spawns all informers
  Task<void> synced();

  // Objects of a kind in a namespace whose controller is `owner_uid`.
  std::vector<const kube::Object*> owned(const kube::Resource& resource, std::string_view name_space,
                                         std::string_view owner_uid);

 private:
  async::EventLoop& loop_;
  kube::Client& client_;
  std::map<std::string, std::unique_ptr<kube::Informer>, std::less<>> informers_;  // by plural
};

}  // namespace llmd::controllers
