#include "extproc/kube_pool.h"

#include <algorithm>

#include "async/scope.h"
#include "kube/informer.h"
#include "kube/selector.h"

namespace llmd::extproc {
namespace {

const kube::Resource kPools{"inference.networking.k8s.io", "v1", "inferencepools", "InferencePool"};
const kube::Resource kOlderPools{"inference.networking.x-k8s.io", "v1alpha2", "inferencepools",
                                 "InferencePool"};
const kube::Resource kObjectives{"llm-d.ai", "v1alpha2", "inferenceobjectives", "InferenceObjective"};
const kube::Resource kOlderObjectives{"inference.networking.x-k8s.io", "v1alpha2", "inferenceobjectives",
                                      "InferenceObjective"};

bool is_ready(const kube::Object& pod) {
  const kube::Object* condition = kube::find_condition(pod, "Ready");
  return condition != nullptr && kube::find_string(*condition, "status") == "True" &&
         !kube::is_being_deleted(pod) && !kube::find_string(pod, "status.podIP").empty();
}

// v1: targetPorts: [{number}]; v1alpha2: targetPortNumber.
std::vector<std::uint16_t> ports_of(const kube::Object& pool) {
  std::vector<std::uint16_t> ports;
  if (const auto* listed = kube::find_array(pool, "spec.targetPorts")) {
    for (const auto& each : *listed) {
      if (each.is_object()) {
        ports.push_back(static_cast<std::uint16_t>(kube::find_int(each.as_object(), "number", 0)));
      }
    }
  }
  if (const auto port = kube::find_int(pool, "spec.targetPortNumber", 0); ports.empty() && port > 0) {
    ports.push_back(static_cast<std::uint16_t>(port));
  }
  return ports;
}

// v1: {matchLabels}; v1alpha2: the labels themselves.
bool selects(const kube::Object& pool, const kube::Object& pod) {
  const kube::Object* selector = kube::find_object(pool, "spec.selector");
  if (selector == nullptr) {
    return false;
  }
  if (selector->contains("matchLabels") || selector->contains("matchExpressions")) {
    return kube::selector_matches(*selector, pod);
  }
  return std::ranges::all_of(*selector, [&pod](const auto& label) {
    return label.value().is_string() &&
           kube::label_of(pod, label.key()) == std::string_view(label.value().as_string());
  });
}

void add_endpoints(const kube::Object& pod, const std::vector<std::uint16_t>& ports,
                   std::vector<picker::Endpoint>& out) {
  for (std::size_t rank = 0; rank < ports.size(); ++rank) {
    picker::Endpoint endpoint;
    endpoint.address = {std::string(kube::find_string(pod, "status.podIP")), ports[rank]};
    endpoint.name = fmt::format("{}-rank-{}", kube::name_of(pod), rank);
    endpoint.namespace_ = kube::namespace_of(pod);
    endpoint.rank = static_cast<int>(rank);
    if (const kube::Object* labels = kube::find_object(pod, "metadata.labels")) {
      for (const auto& label : *labels) {
        if (label.value().is_string()) {
          endpoint.labels.emplace(label.key(), std::string_view(label.value().as_string()));
        }
      }
    }
    out.push_back(std::move(endpoint));
  }
}

}  // namespace

std::vector<picker::Endpoint> endpoints_of(const kube::Object& pool,
                                           const std::vector<const kube::Object*>& pods) {
  std::vector<picker::Endpoint> endpoints;
  const auto ports = ports_of(pool);
  for (const kube::Object* pod : pods) {
    if (is_ready(*pod) && selects(pool, *pod)) {
      add_endpoints(*pod, ports, endpoints);
    }
  }
  return endpoints;
}

struct KubePool::State {
  State(async::EventLoop& loop, kube::Client& client, PoolReference chosen)
      : reference(std::move(chosen)),
        executor(loop.executor()),
        pools(loop, client, reference.group == kPools.group ? kPools : kOlderPools, reference.name_space,
              {.field_selector = "metadata.name=" + reference.name}),
        pods(loop, client, kube::kPods, reference.name_space, {.label_selector = reference.selector}),
        objectives(loop, client, kObjectives, reference.name_space),
        older_objectives(loop, client, kOlderObjectives, reference.name_space) {}

  void publish() const;
  void publish_priorities() const;

  PoolReference reference;
  Executor executor;
  kube::Informer pools;
  kube::Informer pods;
  kube::Informer objectives;
  kube::Informer older_objectives;
  std::function<void(std::vector<picker::Endpoint>, bool)> changed;
  std::function<void(std::shared_ptr<const Priorities>)> priorities_changed;
};

void KubePool::State::publish() const {
  if (!changed) {
    return;
  }
  std::vector<const kube::Object*> all;
  for (const auto& [key, pod] : pods.objects()) {
    all.push_back(&pod);
  }
  if (!reference.selector.empty()) {
    std::vector<picker::Endpoint> endpoints;
    for (const kube::Object* pod : all) {
      if (is_ready(*pod)) {
        add_endpoints(*pod, reference.target_ports, endpoints);
      }
    }
    changed(std::move(endpoints), true);
    return;
  }
  const kube::Object* pool = pools.find({reference.name_space, reference.name});
  changed(pool != nullptr ? endpoints_of(*pool, all) : std::vector<picker::Endpoint>(), pool != nullptr);
}

// The newer group wins where both exist.
void KubePool::State::publish_priorities() const {
  if (!priorities_changed) {
    return;
  }
  Priorities priorities;
  for (const kube::Informer* informer : {&older_objectives, &objectives}) {
    for (const auto& [key, objective] : informer->objects()) {
      priorities[key.name] = static_cast<int>(kube::find_int(objective, "spec.priority", 0));
    }
  }
  priorities_changed(std::make_shared<const Priorities>(std::move(priorities)));
}

KubePool::KubePool(async::EventLoop& loop, kube::Client& client, PoolReference reference)
    : state_(std::make_unique<State>(loop, client, std::move(reference))) {
  State& state = *state_;
  const auto republish = [&state](const kube::Object*, const kube::Object*) { state.publish(); };
  state.pools.on_change(republish);
  state.pods.on_change(republish);
  const auto reprioritise = [&state](const kube::Object*, const kube::Object*) {
    state.publish_priorities();
  };
  state.objectives.on_change(reprioritise);
  state.older_objectives.on_change(reprioritise);
}

KubePool::~KubePool() = default;

void KubePool::on_change(std::function<void(std::vector<picker::Endpoint>, bool)> changed) {
  state_->changed = std::move(changed);
}

void KubePool::on_priorities(std::function<void(std::shared_ptr<const Priorities>)> changed) {
  state_->priorities_changed = std::move(changed);
}

Task<void> KubePool::run() {
  State& state = *state_;
  co_await async::with_scope(state.executor, [&state](async::Scope& scope) -> Task<void> {
    scope.spawn("pods", state.pods.run());
    if (state.reference.selector.empty()) {
      scope.spawn("inference pool", state.pools.run());
    }
    scope.spawn("objectives", state.objectives.run());
    scope.spawn("older objectives", state.older_objectives.run());
    co_await state.pods.synced();
    state.publish();
    co_await scope.join();
  });
}

}  // namespace llmd::extproc
