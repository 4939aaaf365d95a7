#include "controllers/deployment.h"

#include <boost/json.hpp>

#include <algorithm>

#include "base/clock.h"
#include "base/strings.h"

namespace llmd::controllers {
namespace {

constexpr std::string_view kHashLabel = "pod-template-hash";
constexpr std::string_view kRevision = "deployment.kubernetes.io/revision";

// Members sorted, so that two spellings of one template have one hash.
void write_canonically(const boost::json::value& value, std::string& out) {
  if (value.is_object()) {
    std::vector<std::string_view> keys;
    for (const auto& member : value.as_object()) {
      keys.push_back(member.key());
    }
    std::ranges::sort(keys);
    for (const auto key : keys) {
      out += key;
      out += ':';
      write_canonically(value.as_object().at(key), out);
      out += ',';
    }
  } else if (value.is_array()) {
    for (const auto& element : value.as_array()) {
      write_canonically(element, out);
      out += ';';
    }
  } else {
    out += boost::json::serialize(value);
  }
}

std::int64_t revision_of(const kube::Object& replica_set) {
  return parse_integer(kube::annotation_of(replica_set, kRevision)).value_or(0);
}

Generation generation_of_set(const kube::Object& replica_set) {
  return {.wanted = static_cast<int>(kube::find_int(replica_set, "spec.replicas", 0)),
          .actual = static_cast<int>(kube::find_int(replica_set, "status.replicas", 0)),
          .available = static_cast<int>(kube::find_int(replica_set, "status.availableReplicas", 0))};
}

kube::Object replica_set_for(const kube::Object& deployment, const std::string& hash, std::int64_t revision) {
  kube::Object pod_template = *kube::find_object(deployment, "spec.template");
  kube::Object selector;
  if (const auto* given = kube::find_object(deployment, "spec.selector")) {
    selector = *given;
  }
  kube::at(pod_template, "metadata.labels").emplace_object();
  if (const auto* labels = kube::find_object(deployment, "spec.template.metadata.labels")) {
    kube::at(pod_template, "metadata.labels") = *labels;
  }
  kube::at(pod_template, "metadata.labels").as_object()[kHashLabel] = hash;
  if (kube::find_object(selector, "matchLabels") == nullptr) {
    selector["matchLabels"] = kube::Object();
  }
  selector["matchLabels"].as_object()[kHashLabel] = hash;
  kube::Object labels = kube::at(pod_template, "metadata.labels").as_object();
  return {{"apiVersion", "apps/v1"},
          {"kind", "ReplicaSet"},
          {"metadata",
           kube::Object{{"name", fmt::format("{}-{}", kube::name_of(deployment), hash)},
                        {"namespace", kube::namespace_of(deployment)},
                        {"labels", std::move(labels)},
                        {"annotations", kube::Object{{kRevision, std::to_string(revision)}}},
                        {"ownerReferences", boost::json::array{kube::controller_reference(deployment)}}}},
          {"spec", kube::Object{{"replicas", 0}, {"selector", selector}, {"template", pod_template}}}};
}

}  // namespace

std::string template_hash(const kube::Object& pod_template) {
  std::string text;
  write_canonically(boost::json::value(pod_template), text);
  std::uint64_t hash = 14695981039346656037ULL;  // FNV-1a
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  }
  constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string name;
  for (int i = 0; i < 10; ++i, hash /= kAlphabet.size()) {
    name += kAlphabet[hash % kAlphabet.size()];
  }
  return name;
}

DeploymentController::DeploymentController(ClusterView& view)
    : view_(view), controller_(view.loop(), "deployment", [this](kube::ObjectKey key) {
        return reconcile(std::move(key));
      }) {
  view.of(kube::kDeployments).on_change([this](const kube::Object* before, const kube::Object* after) {
    controller_.enqueue(kube::key_of(after != nullptr ? *after : *before));
  });
  view.of(kube::kReplicaSets).on_change([this](const kube::Object* before, const kube::Object* after) {
    const kube::Object& replica_set = after != nullptr ? *after : *before;
    if (const auto* owner = kube::controller_of(replica_set)) {
      controller_.enqueue(
          {std::string(kube::namespace_of(replica_set)), std::string(kube::find_string(*owner, "name"))});
    }
  });
}

Task<Result<kube::Outcome>> DeploymentController::reconcile(kube::ObjectKey key) {
  const auto* found = view_.of(kube::kDeployments).find(key);
  if (found == nullptr || kube::is_being_deleted(*found) ||
      kube::find_object(*found, "spec.template") == nullptr) {
    co_return kube::Outcome{};
  }
  const kube::Object deployment = *found;  // the informer's copy may change while we wait
  std::vector<kube::Object> owned;
  for (const auto* replica_set : view_.owned(kube::kReplicaSets, key.name_space, kube::uid_of(deployment))) {
    owned.push_back(*replica_set);
  }
  std::ranges::sort(owned, {}, revision_of);
  LLMD_CO_TRY(const auto newest, co_await newest_replica_set(deployment, owned));
  std::vector<kube::Object> older = owned;
  std::erase_if(older,
                [&](const kube::Object& each) { return kube::name_of(each) == kube::name_of(newest); });
  LLMD_CO_TRY_VOID(co_await roll(deployment, newest, older));
  LLMD_CO_TRY_VOID(co_await write_status(deployment, newest, owned));
  LLMD_CO_TRY_VOID(co_await forget_old(deployment, std::move(older)));
  co_return kube::Outcome{};
}

Task<Result<kube::Object>> DeploymentController::newest_replica_set(const kube::Object& deployment,
                                                                    const std::vector<kube::Object>& owned) {
  const std::string hash = template_hash(*kube::find_object(deployment, "spec.template"));
  const std::int64_t last = owned.empty() ? 0 : revision_of(owned.back());
  for (const kube::Object& replica_set : owned) {
    if (kube::label_of(replica_set, kHashLabel) != hash) {
      continue;
    }
    if (revision_of(replica_set) == last) {
      co_return replica_set;
    }
    // Rolled back to an earlier template: its ReplicaSet becomes the newest revision.
    kube::Object patch;
    kube::at(patch, "metadata.annotations").emplace_object()[kRevision] = std::to_string(last + 1);
    co_return co_await view_.client().merge_patch(kube::kReplicaSets, kube::key_of(replica_set),
                                                  std::move(patch));
  }
  kube::Object wanted = replica_set_for(deployment, hash, last + 1);
  const auto wanted_key = kube::key_of(wanted);
  auto created = co_await view_.client().create(kube::kReplicaSets, std::move(wanted));
  if (!created && created.error().kind == ErrorKind::AlreadyExists) {  // the informer is behind
    co_return co_await view_.client().get(kube::kReplicaSets, wanted_key);
  }
  co_return created;
}

Task<Result<void>> DeploymentController::scale(const kube::Object& replica_set, int replicas) {
  if (kube::find_int(replica_set, "spec.replicas", 0) == replicas) {
    co_return Result<void>();
  }
  kube::Object patch{{"spec", kube::Object{{"replicas", replicas}}}};
  LLMD_CO_TRY(const auto scaled, co_await view_.client().merge_patch(
                                     kube::kReplicaSets, kube::key_of(replica_set), std::move(patch)));
  co_return Result<void>();
}

Task<Result<void>> DeploymentController::roll(const kube::Object& deployment, const kube::Object& newest,
                                              const std::vector<kube::Object>& older) {
  const int replicas = static_cast<int>(kube::find_int(deployment, "spec.replicas", 1));
  const bool paused = kube::find_bool(deployment, "spec.paused", false);
  const auto limits =
      fenced({.max_surge = scaled_limit(kube::find(deployment, "spec.strategy.rollingUpdate.maxSurge"),
                                        replicas, true),
              .max_unavailable = scaled_limit(
                  kube::find(deployment, "spec.strategy.rollingUpdate.maxUnavailable"), replicas, false),
              .recreate = kube::find_string(deployment, "spec.strategy.type") == "Recreate"});
  std::vector<Generation> generations;
  for (const kube::Object& each : older) {
    generations.push_back(generation_of_set(each));
  }
  const auto is_empty = [](const Generation& each) { return each.wanted == 0 && each.actual == 0; };
  if (paused && !std::ranges::all_of(generations, is_empty)) {
    co_return Result<void>();
  }
  const auto plan = plan_rollout(replicas, limits, generation_of_set(newest), generations);
  LLMD_CO_TRY_VOID(co_await scale(newest, plan.newest));
  for (std::size_t i = 0; i < older.size(); ++i) {
    LLMD_CO_TRY_VOID(co_await scale(older[i], plan.older[i]));
  }
  co_return Result<void>();
}

Task<Result<void>> DeploymentController::forget_old(const kube::Object& deployment,
                                                    std::vector<kube::Object> older) {
  const auto keep = static_cast<std::size_t>(
      std::max<std::int64_t>(0, kube::find_int(deployment, "spec.revisionHistoryLimit", 10)));
  std::erase_if(older, [](const kube::Object& each) {
    const auto state = generation_of_set(each);
    return state.wanted != 0 || state.actual != 0;
  });
  for (std::size_t i = 0; i + keep < older.size(); ++i) {
    const auto removed = co_await view_.client().remove(kube::kReplicaSets, kube::key_of(older[i]));
    if (!removed && removed.error().kind != ErrorKind::NotFound) {
      co_return removed;
    }
  }
  co_return Result<void>();
}

Task<Result<void>> DeploymentController::write_status(const kube::Object& deployment,
                                                      const kube::Object& newest,
                                                      const std::vector<kube::Object>& owned) {
  const std::string now = to_rfc3339(system_clock().wall_now());
  kube::Object status = deployment_status(deployment, newest, owned, now);
  const auto* current = kube::find_object(deployment, "status");
  std::string before;
  std::string after;
  write_canonically(current == nullptr ? boost::json::value(kube::Object()) : boost::json::value(*current),
                    before);
  write_canonically(boost::json::value(status), after);
  if (before != after) {
    kube::Object patch{{"status", std::move(status)}};
    LLMD_CO_TRY(const auto written,
                co_await view_.client().merge_patch(kube::kDeployments, kube::key_of(deployment),
                                                    std::move(patch), "status"));
  }
  const auto revision = kube::annotation_of(newest, kRevision);
  if (!revision.empty() && kube::annotation_of(deployment, kRevision) != revision) {
    kube::Object patch;
    kube::at(patch, "metadata.annotations").emplace_object()[kRevision] = revision;
    LLMD_CO_TRY(const auto noted, co_await view_.client().merge_patch(
                                      kube::kDeployments, kube::key_of(deployment), std::move(patch)));
  }
  co_return Result<void>();
}

}  // namespace llmd::controllers
