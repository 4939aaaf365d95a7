// Finds out which models there are: asks every endpoint of every target for /v1/models, again and again, and
// publishes the picture as a ModelCatalog.
//
// An endpoint is asked when it appears, then every probe_interval; one that does not answer after 1 s, 2 s, 4
// s
// ... What it listed is remembered: a dead or starting backend makes its models stale, not unknown, as long
// as its target (the Service, the pool, the pod) exists.
//
// Made and called on one loop, except catalog(). Needs run().
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "async/event_loop.h"
#include "gateway/configuration.h"
#include "gateway/manual_routes.h"
#include "gateway/model_catalog.h"

namespace llmd::trace {
class Tracer;
}

namespace llmd::gateway {

struct DirectoryOptions {
  Duration probe_interval = std::chrono::seconds(30);
  Duration probe_timeout = std::chrono::seconds(2);
  std::size_t parallel_probes = 16;
  std::string default_owner;
  PoolsConfiguration pools;
  const trace::Tracer* tracer = nullptr;  // of pools' pickers; outlives them
};

class ModelDirectory {
 public:
  ModelDirectory(async::EventLoop& loop, DirectoryOptions options);
  ~ModelDirectory();

  // Pickers of route backends are used for targets with the same key, so that load is counted once.
  using FindPicker = std::function<std::shared_ptr<const picker::Picker>(const std::string& key)>;
  void on_find_picker(FindPicker find);
  // Called after every new catalogue.
  void on_change(std::function<void()> callback);
  void set_targets(std::vector<ModelTarget> targets);
  void set_manual(std::vector<ManualRoute> routes);

  // Asks until cancelled.
  Task<void> run();
  // Asks everybody now; returns when all have answered or timed out.
  struct Report {
    std::size_t targets = 0;
    std::size_t endpoints = 0;
    std::size_t answered = 0;
    std::size_t models = 0;
  };
  Task<Report> discover();

  // Any thread.
  std::shared_ptr<const ModelCatalog> catalog() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::gateway
