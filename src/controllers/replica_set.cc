#include "controllers/replica_set.h"

#include <boost/json.hpp>

#include <algorithm>
#include <random>

#include "controllers/pod_facts.h"

namespace llmd::controllers {
namespace {

// The alphabet of Kubernetes' generated names: no vowels, no look-alikes.
std::string random_suffix() {
  constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  static thread_local std::mt19937_64 random{std::random_device()()};
  std::uniform_int_distribution<std::size_t> index(0, kAlphabet.size() - 1);
  std::string suffix;
  for (int i = 0; i < 5; ++i) {
    suffix += kAlphabet[index(random)];
  }
  return suffix;
}

}  // namespace

kube::Object pod_from_template(const kube::Object& owner) {
  kube::Object metadata;
  kube::Object spec;
  if (const auto* given = kube::find_object(owner, "spec.template.metadata")) {
    for (const std::string_view field : {"labels", "annotations"}) {
      if (const auto* value = given->if_contains(field)) {
        metadata[field] = *value;
      }
    }
  }
  if (const auto* given = kube::find_object(owner, "spec.template.spec")) {
    spec = *given;
  }
  metadata["name"] = fmt::format("{}-{}", kube::name_of(owner), random_suffix());
  metadata["namespace"] = kube::namespace_of(owner);
  metadata["ownerReferences"] = boost::json::array{kube::controller_reference(owner)};
  return {
      {"apiVersion", "v1"}, {"kind", "Pod"}, {"metadata", std::move(metadata)}, {"spec", std::move(spec)}};
}

ReplicaSetController::ReplicaSetController(ClusterView& view)
    : view_(view), controller_(view.loop(), "replicaset", [this](kube::ObjectKey key) {
        return reconcile(std::move(key));
      }) {
  view.of(kube::kReplicaSets).on_change([this](const kube::Object* before, const kube::Object* after) {
    controller_.enqueue(kube::key_of(after != nullptr ? *after : *before));
  });
  view.of(kube::kPods).on_change([this](const kube::Object* before, const kube::Object* after) {
    observe_pod(before, after);
  });
}

void ReplicaSetController::observe_pod(const kube::Object* before, const kube::Object* after) {
  const kube::Object& pod = after != nullptr ? *after : *before;
  const auto* owner = kube::controller_of(pod);
  if (owner == nullptr || kube::find_string(*owner, "kind") != "ReplicaSet") {
    return;
  }
  const bool appeared = before == nullptr;
  const bool leaves = after == nullptr || kube::is_being_deleted(*after);
  if (appeared || leaves) {
    expectations_.seen(std::string(kube::find_string(*owner, "uid")), std::string(kube::name_of(pod)));
  }
  controller_.enqueue({std::string(kube::namespace_of(pod)), std::string(kube::find_string(*owner, "name"))});
}

Task<Result<kube::Outcome>> ReplicaSetController::reconcile(kube::ObjectKey key) {
  const auto* found = view_.of(kube::kReplicaSets).find(key);
  if (found == nullptr || kube::is_being_deleted(*found)) {
    co_return kube::Outcome{};
  }
  const kube::Object replica_set = *found;  // the informer's copy may change while we wait
  if (!expectations_.met(std::string(kube::uid_of(replica_set)))) {
    co_return kube::Outcome{.again_after = std::chrono::seconds(5)};
  }
  auto active = view_.owned(kube::kPods, key.name_space, kube::uid_of(replica_set));
  std::erase_if(active, [](const kube::Object* pod) { return !is_pod_active(*pod); });
  LLMD_CO_TRY_VOID(co_await write_status(replica_set, active));
  const int wanted = static_cast<int>(kube::find_int(replica_set, "spec.replicas", 1));
  const int difference = wanted - static_cast<int>(active.size());
  if (difference > 0) {
    LLMD_CO_TRY_VOID(co_await create_pods(replica_set, difference));
  } else if (difference < 0) {
    active = view_.owned(kube::kPods, key.name_space, kube::uid_of(replica_set));
    std::erase_if(active, [](const kube::Object* pod) { return !is_pod_active(*pod); });
    LLMD_CO_TRY_VOID(co_await delete_pods(replica_set, std::move(active), -difference));
  }
  co_return kube::Outcome{};
}

Task<Result<void>> ReplicaSetController::create_pods(const kube::Object& replica_set, int count) {
  const std::string uid(kube::uid_of(replica_set));
  for (int i = 0; i < count; ++i) {
    kube::Object pod = pod_from_template(replica_set);
    const std::string name(kube::name_of(pod));
    expectations_.expect(uid, name);
    const auto created = co_await view_.client().create(kube::kPods, std::move(pod));
    if (!created) {
      expectations_.seen(uid, name);
      co_return std::unexpected(created.error());
    }
  }
  co_return Result<void>();
}

Task<Result<void>> ReplicaSetController::delete_pods(const kube::Object& replica_set,
                                                     std::vector<const kube::Object*> active, int count) {
  const std::string uid(kube::uid_of(replica_set));
  std::ranges::sort(active, [](const kube::Object* a, const kube::Object* b) { return goes_before(*a, *b); });
  active.resize(std::min<std::size_t>(active.size(), static_cast<std::size_t>(count)));
  std::vector<std::pair<kube::ObjectKey, std::string>> victims;
  for (const kube::Object* pod : active) {
    victims.emplace_back(kube::key_of(*pod), std::string(kube::uid_of(*pod)));
  }
  for (auto& [key, pod_uid] : victims) {
    expectations_.expect(uid, key.name);
    const std::string name = key.name;
    const auto removed =
        co_await view_.client().remove(kube::kPods, std::move(key), kube::Propagation::Background, pod_uid);
    if (!removed) {
      expectations_.seen(uid, name);
      if (removed.error().kind != ErrorKind::NotFound) {
        co_return removed;
      }
    }
  }
  co_return Result<void>();
}

Task<Result<void>> ReplicaSetController::write_status(const kube::Object& replica_set,
                                                      const std::vector<const kube::Object*>& active) {
  const auto ready =
      std::ranges::count_if(active, [](const kube::Object* pod) { return is_pod_ready(*pod); });
  kube::Object status{{"replicas", active.size()},
                      {"fullyLabeledReplicas", active.size()},
                      {"readyReplicas", ready},
                      {"availableReplicas", ready},
                      {"observedGeneration", kube::generation_of(replica_set)}};
  const auto* current = kube::find_object(replica_set, "status");
  const bool unchanged =
      current != nullptr && std::ranges::all_of(status, [&](const auto& field) {
        const auto* now = current->if_contains(field.key());
        return now != nullptr && boost::json::serialize(*now) == boost::json::serialize(field.value());
      });
  if (unchanged) {
    co_return Result<void>();
  }
  kube::Object patch{{"status", std::move(status)}};
  const auto written = co_await view_.client().merge_patch(kube::kReplicaSets, kube::key_of(replica_set),
                                                           std::move(patch), "status");
  co_return written || written.error().kind == ErrorKind::NotFound ? Result<void>()
                                                                   : std::unexpected(written.error());
}

}  // namespace llmd::controllers
