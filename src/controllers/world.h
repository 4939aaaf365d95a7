// What all controllers of this folder share: one informer per kind, and the way to write.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "async/scope.h"
#include "kube/client.h"
#include "kube/controller.h"
#include "kube/event_recorder.h"
#include "kube/informer.h"

namespace llmd::controllers {

struct World {
  World(async::EventLoop& used, kube::Client& api) : loop(used), client(api) {}

  async::EventLoop& loop;
  kube::Client& client;

  struct Watched {
    kube::Resource resource;
    std::unique_ptr<kube::Informer> informer;
  };
  std::deque<Watched> watched;

  // Watches the kind from the next run() on; the same informer for everybody who asks.
  kube::Informer& informer(const kube::Resource& resource);
  std::string now() const;
};

// One controller with what it needs to run.
class Part {
 public:
  virtual ~Part() = default;
  // Runs until cancelled; the informers are synced.
  virtual Task<void> run() = 0;
};

std::unique_ptr<Part> make_deployment_controller(World& world);
std::unique_ptr<Part> make_replica_set_controller(World& world);
std::unique_ptr<Part> make_endpoint_slice_controller(World& world);
std::unique_ptr<Part> make_garbage_collector(World& world);
std::unique_ptr<Part> make_namespace_controller(World& world);
std::unique_ptr<Part> make_scheduler(World& world);

// Kinds whose objects can own or be owned, and that a dying namespace is emptied of.
std::span<const kube::Resource> collected_resources();

}  // namespace llmd::controllers
