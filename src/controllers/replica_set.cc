// ReplicaSets: as many pods as asked for, of one template. Pods are counted on the server before anything is
// made or removed, so a copy that is behind cannot lead to one pod too many.
#include <boost/json/array.hpp>

#include <algorithm>

#include "controllers/owner_controller.h"
#include "controllers/pods.h"
#include "kube/selector.h"

namespace llmd::controllers {

namespace {

using kube::find_int;
using kube::find_object;
using kube::find_string;
using kube::Object;

constexpr std::int64_t kMaxBurst = 100;   // pods made or removed in one step
constexpr std::size_t kKeptFinished = 2;  // ended pods whose logs people may still want to read

class ReplicaSetController final : public OwnerController {
 public:
  explicit ReplicaSetController(World& world)
      : OwnerController(world, "replicaset", kube::kReplicaSets, kube::kPods) {}

 private:
  Task<Result<kube::Outcome>> reconcile(kube::ObjectKey key) override {
    auto set = co_await world_.client.get(kube::kReplicaSets, key);
    if (!set || kube::is_being_deleted(*set)) {
      if (!set && set.error().kind != ErrorKind::NotFound) {
        co_return std::unexpected(std::move(set.error()));
      }
      co_return kube::Outcome{};
    }
    const Object* selector = find_object(*set, "spec.selector");
    kube::ListOptions options;
    options.label_selector = selector ? kube::selector_text(*selector) : "";
    LLMD_CO_TRY(auto pods, co_await world_.client.list(kube::kPods, key.name_space, options));
    std::erase_if(pods.items, [&](const Object& pod) { return !is_controlled_by(pod, *set); });
    std::vector<const Object*> active;
    std::vector<const Object*> finished;
    for (const Object& pod : pods.items) {
      if (is_active(pod)) {
        active.push_back(&pod);
      } else if (is_finished(pod) && !kube::is_being_deleted(pod)) {
        finished.push_back(&pod);
      }
    }
    const std::int64_t wanted = find_int(*set, "spec.replicas", 1);
    const std::int64_t missing = wanted - static_cast<std::int64_t>(active.size());
    if (missing > 0) {
      LLMD_CO_TRY_VOID(co_await make_pods(*set, std::min(missing, kMaxBurst)));
    } else if (missing < 0) {
      LLMD_CO_TRY_VOID(co_await remove_pods(*set, active, std::min(-missing, kMaxBurst)));
    }
    LLMD_CO_TRY_VOID(co_await forget_finished(finished));
    co_return co_await write_status(std::move(*set), active);
  }

  Task<Result<void>> make_pods(const Object& set, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      auto pod = co_await world_.client.create(kube::kPods, pod_of(set));
      if (!pod) {
        events_.record(set, kube::EventType::Warning, "FailedCreate",
                       "Error creating: " + pod.error().message);
        co_return std::unexpected(std::move(pod.error()));
      }
      events_.record(set, kube::EventType::Normal, "SuccessfulCreate",
                     fmt::format("Created pod: {}", kube::name_of(*pod)));
    }
    co_return Result<void>();
  }

  static Object pod_of(const Object& set) {
    const Object* pod_template = find_object(set, "spec.template");
    Object pod = pod_template ? *pod_template : Object();
    pod["apiVersion"] = "v1";
    pod["kind"] = "Pod";
    Object metadata = find_object(pod, "metadata") ? *find_object(pod, "metadata") : Object();
    metadata.erase("creationTimestamp");
    metadata["generateName"] = std::string(kube::name_of(set)) + "-";
    metadata["namespace"] = kube::namespace_of(set);
    metadata["ownerReferences"] = boost::json::array{boost::json::value(kube::controller_reference(set))};
    pod["metadata"] = std::move(metadata);
    return pod;
  }

  Task<Result<void>> remove_pods(const Object& set, std::vector<const Object*> pods, std::int64_t count) {
    std::ranges::sort(pods, goes_first);
    for (std::int64_t i = 0; i < count; ++i) {
      const Object& pod = *pods[static_cast<std::size_t>(i)];
      auto removed = co_await world_.client.remove(
          kube::kPods, kube::key_of(pod), kube::Propagation::Background, std::string(kube::uid_of(pod)));
      if (!removed && removed.error().kind != ErrorKind::NotFound) {
        co_return removed;
      }
      events_.record(set, kube::EventType::Normal, "SuccessfulDelete",
                     fmt::format("Deleted pod: {}", kube::name_of(pod)));
    }
    co_return Result<void>();
  }

  Task<Result<void>> forget_finished(std::vector<const Object*> finished) {
    std::ranges::sort(finished, std::ranges::greater(),
                      [](const Object* pod) { return find_string(*pod, "metadata.creationTimestamp"); });
    for (std::size_t i = kKeptFinished; i < finished.size(); ++i) {
      auto removed = co_await world_.client.remove(kube::kPods, kube::key_of(*finished[i]));
      if (!removed && removed.error().kind != ErrorKind::NotFound) {
        co_return removed;
      }
    }
    co_return Result<void>();
  }

  Task<Result<kube::Outcome>> write_status(Object set, const std::vector<const Object*>& active) {
    const Availability available = availability_of(active, find_int(set, "spec.minReadySeconds", 0));
    Object status;
    const auto put = [&status](std::string_view key, std::int64_t number) {
      if (number != 0) {
        status[key] = number;
      }
    };
    status["replicas"] = static_cast<std::int64_t>(active.size());
    put("fullyLabeledReplicas", static_cast<std::int64_t>(active.size()));
    put("readyReplicas", available.ready);
    put("availableReplicas", available.available);
    status["observedGeneration"] = kube::generation_of(set);
    const Object* old = find_object(set, "status");
    if (!old || *old != status) {
      set["status"] = std::move(status);
      LLMD_CO_TRY(const auto written,
                  co_await world_.client.update_status(kube::kReplicaSets, std::move(set)));
    }
    co_return kube::Outcome{available.look_again};
  }
};

}  // namespace

std::unique_ptr<Part> make_replica_set_controller(World& world) {
  return std::make_unique<ReplicaSetController>(world);
}

}  // namespace llmd::controllers
