// Deployments: one ReplicaSet per template, and the way from the old one to the new one.
#include <boost/json/array.hpp>

#include <algorithm>

#include "base/strings.h"
#include "controllers/deployment_status.h"
#include "controllers/owner_controller.h"
#include "controllers/pods.h"
#include "controllers/rollout.h"
#include "kube/selector.h"

namespace llmd::controllers {

namespace {

using kube::find_int;
using kube::find_object;
using kube::find_string;
using kube::Object;

constexpr std::string_view kHashLabel = "pod-template-hash";
constexpr std::string_view kRevision = "deployment.kubernetes.io/revision";
constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";

std::int64_t revision_of(const Object& object) {
  return parse_integer(kube::annotation_of(object, kRevision)).value_or(0);
}

Object template_of(const Object& workload) {
  Object pod_template =
      find_object(workload, "spec.template") ? *find_object(workload, "spec.template") : Object();
  if (Object* labels = const_cast<Object*>(find_object(pod_template, "metadata.labels"))) {
    labels->erase(kHashLabel);
  }
  return pod_template;
}

SetSize size_of(const Object& set) {
  return {find_int(set, "spec.replicas", 0), find_int(set, "status.availableReplicas", 0)};
}

class DeploymentController final : public OwnerController {
 public:
  explicit DeploymentController(World& world)
      : OwnerController(world, "deployment", kube::kDeployments, kube::kReplicaSets) {}

 private:
  // A deployment and its sets, as the server has them now.
  struct Picture {
    Object deployment;
    std::vector<Object> outdated;  // oldest revision first
    std::optional<Object> fresh;
    std::int64_t newest_revision = 0;
  };

  Task<Result<kube::Outcome>> reconcile(kube::ObjectKey key) override {
    auto found = co_await world_.client.get(kube::kDeployments, key);
    if (!found || kube::is_being_deleted(*found)) {
      if (!found && found.error().kind != ErrorKind::NotFound) {
        co_return std::unexpected(std::move(found.error()));
      }
      co_return kube::Outcome{};
    }
    Picture picture;
    picture.deployment = std::move(*found);
    LLMD_CO_TRY_VOID(co_await take_sets(picture));
    if (!kube::find_bool(picture.deployment, "spec.paused", false)) {
      LLMD_CO_TRY_VOID(co_await ensure_fresh(picture));
    }
    LLMD_CO_TRY_VOID(co_await resize(picture));
    LLMD_CO_TRY_VOID(co_await forget_old(picture));
    co_return co_await write_status(picture);
  }

  Task<Result<void>> take_sets(Picture& picture) {
    const Object& deployment = picture.deployment;
    const Object* selector = find_object(deployment, "spec.selector");
    kube::ListOptions options;
    options.label_selector = selector ? kube::selector_text(*selector) : "";
    const std::string place(kube::namespace_of(deployment));
    LLMD_CO_TRY(auto sets, co_await world_.client.list(kube::kReplicaSets, place, options));
    const Object wanted = template_of(deployment);
    std::ranges::sort(sets.items, {}, revision_of);
    for (Object& set : sets.items) {
      if (!is_controlled_by(set, deployment)) {
        continue;
      }
      picture.newest_revision = std::max(picture.newest_revision, revision_of(set));
      if (!picture.fresh && template_of(set) == wanted) {
        picture.fresh = std::move(set);
      } else {
        picture.outdated.push_back(std::move(set));
      }
    }
    co_return Result<void>();
  }

  // The set of the newest template, with the highest revision; a rollback finds its old set again.
  Task<Result<void>> ensure_fresh(Picture& picture) {
    if (!picture.fresh) {
      LLMD_CO_TRY(picture.fresh, co_await world_.client.create(kube::kReplicaSets, make_set(picture)));
      picture.newest_revision = revision_of(*picture.fresh);
    } else if (revision_of(*picture.fresh) < picture.newest_revision) {
      ++picture.newest_revision;
      LLMD_CO_TRY(picture.fresh,
                  co_await annotate(kube::kReplicaSets, *picture.fresh, picture.newest_revision));
    }
    if (revision_of(picture.deployment) != picture.newest_revision) {
      LLMD_CO_TRY(picture.deployment,
                  co_await annotate(kube::kDeployments, picture.deployment, picture.newest_revision));
    }
    co_return Result<void>();
  }

  Task<Result<Object>> annotate(const kube::Resource& resource, const Object& object, std::int64_t revision) {
    Object patch;
    Object& annotations = kube::at(patch, "metadata.annotations").emplace_object();
    annotations[kRevision] = std::to_string(revision);
    return world_.client.merge_patch(resource, kube::key_of(object), std::move(patch));
  }

  static Object make_set(const Picture& picture) {
    const Object& deployment = picture.deployment;
    Object pod_template = template_of(deployment);
    const std::string hash = template_hash(pod_template, find_int(deployment, "status.collisionCount", 0));
    Object& labels = kube::at(pod_template, "metadata.labels").get_object();
    labels[kHashLabel] = hash;
    Object set{{"apiVersion", "apps/v1"}, {"kind", "ReplicaSet"}};
    Object& metadata = set["metadata"].emplace_object();
    metadata["name"] = fmt::format("{}-{}", kube::name_of(deployment), hash);
    metadata["namespace"] = kube::namespace_of(deployment);
    metadata["labels"] = labels;
    Object annotations = find_object(deployment, "metadata.annotations")
                             ? *find_object(deployment, "metadata.annotations")
                             : Object();
    annotations.erase(kLastApplied);
    annotations[kRevision] = std::to_string(picture.newest_revision + 1);
    metadata["annotations"] = std::move(annotations);
    metadata["ownerReferences"] =
        boost::json::array{boost::json::value(kube::controller_reference(deployment))};
    Object spec;
    spec["replicas"] = 0;  // resize() decides
    spec["minReadySeconds"] = find_int(deployment, "spec.minReadySeconds", 0);
    spec["selector"] = *find_object(deployment, "spec.selector");
    kube::at(spec, "selector.matchLabels");
    if (!spec["selector"].get_object()["matchLabels"].is_object()) {
      spec["selector"].get_object()["matchLabels"].emplace_object();
    }
    spec["selector"].get_object()["matchLabels"].get_object()[kHashLabel] = hash;
    spec["template"] = std::move(pod_template);
    set["spec"] = std::move(spec);
    return set;
  }

  Task<Result<void>> resize(Picture& picture) {
    if (!picture.fresh && picture.outdated.empty()) {
      co_return Result<void>();
    }
    const std::int64_t wanted = find_int(picture.deployment, "spec.replicas", 1);
    std::vector<SetSize> sizes;
    std::int64_t living = 0;
    for (const Object& set : picture.outdated) {
      sizes.push_back(size_of(set));
      living += find_int(set, "status.replicas", 0);
    }
    RolloutStep step;
    const SetSize fresh = picture.fresh ? size_of(*picture.fresh) : SetSize();
    if (!picture.fresh) {
      // Paused before the first rollout of a new template: the newest old set follows the number.
      step.outdated.assign(sizes.size(), 0);
      step.outdated.back() = wanted;
    } else if (find_string(picture.deployment, "spec.strategy.type") == "Recreate") {
      step.outdated.assign(sizes.size(), 0);
      step.fresh = living > 0 ? fresh.replicas : wanted;
    } else {
      step = next_rollout_step(wanted, rollout_limits(picture.deployment), fresh, sizes);
    }
    if (picture.fresh && step.fresh != fresh.replicas) {
      LLMD_CO_TRY(picture.fresh, co_await scale(picture.deployment, *picture.fresh, step.fresh));
    }
    for (std::size_t i = 0; i < picture.outdated.size(); ++i) {
      if (step.outdated[i] != sizes[i].replicas) {
        LLMD_CO_TRY(picture.outdated[i],
                    co_await scale(picture.deployment, picture.outdated[i], step.outdated[i]));
      }
    }
    co_return Result<void>();
  }

  Task<Result<Object>> scale(const Object& deployment, const Object& set, std::int64_t replicas) {
    const std::int64_t before = find_int(set, "spec.replicas", 0);
    const std::string name(kube::name_of(set));
    Object patch;
    kube::at(patch, "spec.replicas") = replicas;
    auto scaled = co_await world_.client.merge_patch(kube::kReplicaSets, kube::key_of(set), std::move(patch));
    if (scaled) {
      events_.record(deployment, kube::EventType::Normal, "ScalingReplicaSet",
                     before == 0 ? fmt::format("Scaled up replica set {} to {}", name, replicas)
                                 : fmt::format("Scaled {} replica set {} from {} to {}",
                                               replicas > before ? "up" : "down", name, before, replicas));
    }
    co_return scaled;
  }

  Task<Result<void>> forget_old(Picture& picture) {
    const std::int64_t kept = find_int(picture.deployment, "spec.revisionHistoryLimit", 10);
    std::vector<const Object*> empty;
    for (const Object& set : picture.outdated) {
      if (find_int(set, "spec.replicas", 0) == 0 && find_int(set, "status.replicas", 0) == 0) {
        empty.push_back(&set);
      }
    }
    for (std::size_t i = 0; i + static_cast<std::size_t>(kept) < empty.size(); ++i) {
      auto removed = co_await world_.client.remove(kube::kReplicaSets, kube::key_of(*empty[i]));
      if (!removed && removed.error().kind != ErrorKind::NotFound) {
        co_return removed;
      }
    }
    co_return Result<void>();
  }

  Task<Result<kube::Outcome>> write_status(Picture& picture) {
    Object changed = picture.deployment;
    const auto look_again = fill_deployment_status(changed, picture.fresh ? &*picture.fresh : nullptr,
                                                   picture.outdated, system_clock().wall_now());
    if (changed != picture.deployment) {
      LLMD_CO_TRY(const auto written,
                  co_await world_.client.update_status(kube::kDeployments, std::move(changed)));
    }
    co_return kube::Outcome{look_again};
  }
};

}  // namespace

std::unique_ptr<Part> make_deployment_controller(World& world) {
  return std::make_unique<DeploymentController>(world);
}

}  // namespace llmd::controllers
