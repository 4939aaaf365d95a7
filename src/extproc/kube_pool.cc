#include "extproc/kube_pool.h"

#include <algorithm>

#include "async/event.h"
#include "async/scope.h"
#include "base/log.h"
#include "base/strings.h"
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
const kube::Resource kRewrites{"llm-d.ai", "v1alpha2", "inferencemodelrewrites", "InferenceModelRewrite"};
const kube::Resource kOlderRewrites{"inference.networking.x-k8s.io", "v1alpha2", "inferencemodelrewrites",
                                    "InferenceModelRewrite"};
constexpr std::string_view kActivePorts = "llm-d.ai/active-ports";
constexpr std::string_view kOlderActivePorts = "inference.networking.k8s.io/active-ports";
// A rollout changes many pods at once; one snapshot for a burst is enough.
constexpr auto kBurst = std::chrono::milliseconds(5);

bool is_ready(const kube::Object& pod) {
  const kube::Object* condition = kube::find_condition(pod, "Ready");
  return condition != nullptr && kube::find_string(*condition, "status") == "True" &&
         !kube::is_being_deleted(pod) && !kube::find_string(pod, "status.podIP").empty();
}

// v1: targetPorts: [{number}]; v1alpha2: targetPortNumber. What is no port keeps its place, as 0: ranks are
// places.
std::vector<std::uint16_t> ports_of(const kube::Object& pool) {
  std::vector<std::uint16_t> ports;
  if (const auto* listed = kube::find_array(pool, "spec.targetPorts")) {
    for (const auto& each : *listed) {
      const auto port = each.is_object() ? kube::find_int(each.as_object(), "number", 0) : 0;
      ports.push_back(port > 0 && port <= 65535 ? static_cast<std::uint16_t>(port) : 0);
    }
  }
  if (const auto port = kube::find_int(pool, "spec.targetPortNumber", 0);
      ports.empty() && port > 0 && port <= 65535) {
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

// Without the annotation all ports are active. Entries that are no numbers are not looked at.
bool is_active(const kube::Object& pod, std::uint16_t port) {
  const kube::Object* annotations = kube::find_object(pod, "metadata.annotations");
  for (const std::string_view key : {kActivePorts, kOlderActivePorts}) {
    if (annotations != nullptr && annotations->contains(key)) {
      return std::ranges::any_of(split(kube::annotation_of(pod, key), ','),
                                 [port](std::string_view each) { return parse_integer(trim(each)) == port; });
    }
  }
  return true;
}

picker::Endpoint endpoint_of(const kube::Object& pod, std::uint16_t port, std::size_t rank) {
  picker::Endpoint endpoint;
  endpoint.address = {std::string(kube::find_string(pod, "status.podIP")), port};
  endpoint.name = fmt::format("{}-rank-{}", kube::name_of(pod), rank);
  endpoint.namespace_ = kube::namespace_of(pod);
  endpoint.rank = static_cast<int>(rank);
  endpoint.pod = kube::name_of(pod);
  endpoint.hostname = kube::find_string(pod, "spec.hostname");
  endpoint.node = kube::find_string(pod, "status.hostIP");
  endpoint.uid = kube::uid_of(pod);
  if (const kube::Object* labels = kube::find_object(pod, "metadata.labels")) {
    for (const auto& label : *labels) {
      if (label.value().is_string()) {
        endpoint.labels.emplace(label.key(), std::string_view(label.value().as_string()));
      }
    }
  }
  return endpoint;
}

void add_endpoints(const kube::Object& pod, const std::vector<std::uint16_t>& ports,
                   std::vector<picker::Endpoint>& out) {
  for (std::size_t rank = 0; rank < ports.size(); ++rank) {
    if (ports[rank] != 0 && is_active(pod, ports[rank])) {
      out.push_back(endpoint_of(pod, ports[rank], rank));
    }
  }
}

std::vector<const kube::Object*> all_of(const kube::Informer& informer) {
  std::vector<const kube::Object*> all;
  for (const auto& [key, object] : informer.objects()) {
    all.push_back(&object);
  }
  return all;
}

}  // namespace

std::vector<picker::Endpoint> endpoints_of(const kube::Object& pool,
                                           const std::vector<const kube::Object*>& pods) {
  std::vector<picker::Endpoint> endpoints;
  if (kube::is_being_deleted(pool)) {
    return endpoints;
  }
  const auto ports = ports_of(pool);
  for (const kube::Object* pod : pods) {
    if (is_ready(*pod) && selects(pool, *pod)) {
      add_endpoints(*pod, ports, endpoints);
    }
  }
  return endpoints;
}

namespace {

bool is_for(const kube::Object& object, const PoolReference& pool) {
  const std::string_view group = kube::find_string(object, "spec.poolRef.group");
  const bool ours = pool.name.empty() || (kube::find_string(object, "spec.poolRef.name") == pool.name &&
                                          (group.empty() || group == pool.group));
  return ours && !kube::is_being_deleted(object);
}

}  // namespace

std::vector<ModelRewrite> rewrites_of(const std::vector<const kube::Object*>& objects,
                                      const PoolReference& pool) {
  std::vector<ModelRewrite> rewrites;
  for (const kube::Object* object : objects) {
    if (!is_for(*object, pool)) {
      continue;
    }
    auto read = read_rule_object(*object);
    if (read && read->rewrite) {
      rewrites.push_back(std::move(*read->rewrite));
    } else if (!read) {
      log::warning("a model rewrite is not looked at",
                   {{"name", kube::name_of(*object)}, {"problem", read.error().text()}});
    }
  }
  return rewrites;
}

Priorities priorities_of(const std::vector<const kube::Object*>& objectives, const PoolReference& pool) {
  Priorities priorities;
  for (const kube::Object* objective : objectives) {
    if (is_for(*objective, pool)) {
      priorities[std::string(kube::name_of(*objective))] =
          static_cast<int>(kube::find_int(*objective, "spec.priority", 0));
    }
  }
  return priorities;
}

struct KubePool::State {
  State(async::EventLoop& loop, kube::Client& client, PoolReference chosen)
      : reference(std::move(chosen)),
        executor(loop.executor()),
        pools(loop, client, reference.group == kPools.group ? kPools : kOlderPools, reference.name_space,
              {.field_selector = "metadata.name=" + reference.name}),
        pods(loop, client, kube::kPods, reference.name_space, {.label_selector = reference.selector}),
        objectives(loop, client, kObjectives, reference.name_space),
        older_objectives(loop, client, kOlderObjectives, reference.name_space),
        rewrites(loop, client, kRewrites, reference.name_space),
        older_rewrites(loop, client, kOlderRewrites, reference.name_space),
        pods_changed(executor),
        rules_changed(executor) {
    for (kube::Informer* informer : {&pools, &pods}) {
      informer->on_change([this](const kube::Object*, const kube::Object*) { pods_changed.set(); });
    }
    for (kube::Informer* informer : {&objectives, &older_objectives, &rewrites, &older_rewrites}) {
      informer->on_change([this](const kube::Object*, const kube::Object*) { rules_changed.set(); });
    }
  }

  bool has_pool() const { return reference.selector.empty(); }
  const kube::Object* pool() const;
  void publish() const;
  void publish_rules() const;
  Task<void> follow_pods();
  Task<void> follow_rules();

  PoolReference reference;
  Executor executor;
  kube::Informer pools;
  kube::Informer pods;
  kube::Informer objectives;
  kube::Informer older_objectives;
  kube::Informer rewrites;
  kube::Informer older_rewrites;
  async::Event pods_changed;
  async::Event rules_changed;
  std::function<void(std::vector<picker::Endpoint>, bool)> changed;
  std::function<void(std::shared_ptr<const Rules>)> on_rules;
};

// Null also when it is on its way out.
const kube::Object* KubePool::State::pool() const {
  const kube::Object* found = pools.find({reference.name_space, reference.name});
  return found != nullptr && !kube::is_being_deleted(*found) ? found : nullptr;
}

void KubePool::State::publish() const {
  if (!changed) {
    return;
  }
  if (has_pool()) {
    const kube::Object* found = pool();
    return changed(found != nullptr ? endpoints_of(*found, all_of(pods)) : std::vector<picker::Endpoint>(),
                   found != nullptr);
  }
  std::vector<picker::Endpoint> endpoints;
  for (const kube::Object* pod : all_of(pods)) {
    if (is_ready(*pod)) {
      add_endpoints(*pod, reference.target_ports, endpoints);
    }
  }
  changed(std::move(endpoints), true);
}

// Where the newer group is installed, the older one is not looked at.
void KubePool::State::publish_rules() const {
  if (on_rules) {
    const kube::Informer& current = objectives.is_synced() ? objectives : older_objectives;
    const kube::Informer& current_rewrites = rewrites.is_synced() ? rewrites : older_rewrites;
    auto rules = std::make_shared<Rules>();
    rules->priorities = priorities_of(all_of(current), reference);
    rules->rewrites = ModelRewrites(rewrites_of(all_of(current_rewrites), reference));
    on_rules(std::move(rules));
  }
}

// Half a picture would call a pool served that has no endpoints yet.
Task<void> KubePool::State::follow_pods() {
  co_await pods.synced();
  if (has_pool()) {
    co_await pools.synced();
  }
  while (true) {
    pods_changed.reset();
    publish();
    co_await pods_changed.wait();
    co_await async::sleep(kBurst);
  }
}

Task<void> KubePool::State::follow_rules() {
  while (true) {
    co_await rules_changed.wait();
    co_await async::sleep(kBurst);
    rules_changed.reset();
    publish_rules();
  }
}

KubePool::KubePool(async::EventLoop& loop, kube::Client& client, PoolReference reference)
    : state_(std::make_unique<State>(loop, client, std::move(reference))) {}

KubePool::~KubePool() = default;

void KubePool::on_change(std::function<void(std::vector<picker::Endpoint>, bool)> changed) {
  state_->changed = std::move(changed);
}

void KubePool::on_rules(std::function<void(std::shared_ptr<const Rules>)> changed) {
  state_->on_rules = std::move(changed);
}

Task<void> KubePool::run() {
  State& state = *state_;
  co_await async::with_scope(state.executor, [&state](async::Scope& scope) -> Task<void> {
    scope.spawn("pods", state.pods.run());
    if (state.has_pool()) {
      scope.spawn("inference pool", state.pools.run());
    }
    scope.spawn("objectives", state.objectives.run());
    scope.spawn("older objectives", state.older_objectives.run());
    scope.spawn("model rewrites", state.rewrites.run());
    scope.spawn("older model rewrites", state.older_rewrites.run());
    scope.spawn("rules", state.follow_rules());
    co_await state.follow_pods();
  });
}

std::string KubePool::app_protocol() const {
  const kube::Object* found = state_->has_pool() ? state_->pool() : nullptr;
  return found != nullptr ? std::string(kube::find_string(*found, "spec.appProtocol")) : "";
}

json::Object KubePool::state() const {
  const State& state = *state_;
  json::Object said;
  said["namespace"] = state.reference.name_space;
  if (state.has_pool()) {
    said["pool"] = state.reference.name;
    said["poolFound"] = state.pool() != nullptr;
  } else {
    said["selector"] = state.reference.selector;
  }
  said["synced"] = state.pods.is_synced() && (!state.has_pool() || state.pools.is_synced());
  auto away = state.pods.interrupted_since();
  if (const auto pools_away = state.pools.interrupted_since(); pools_away && (!away || *pools_away < *away)) {
    away = pools_away;
  }
  said["interruptedSeconds"] =
      away ? json::Value(std::chrono::duration<double>(std::chrono::steady_clock::now() - *away).count())
           : json::Value(nullptr);
  return said;
}

}  // namespace llmd::extproc
