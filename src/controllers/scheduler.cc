// The scheduler: every pod without a node gets one that takes it.
#include "controllers/placement.h"
#include "controllers/pods.h"
#include "controllers/world.h"

namespace llmd::controllers {

namespace {

using kube::find_string;
using kube::Object;

constexpr std::string_view kSchedulerName = "default-scheduler";

class Scheduler final : public Part {
 public:
  explicit Scheduler(World& world)
      : world_(world),
        pods_(world.informer(kube::kPods)),
        nodes_(world.informer(kube::kNodes)),
        events_(world.loop, world.client, std::string(kSchedulerName)),
        // One at a time: two decisions at once could give away the same GPU.
        controller_(
            world.loop, "scheduler", [this](kube::ObjectKey key) { return reconcile(std::move(key)); }, 1) {
    pods_.on_change([this](const Object* before, const Object* after) {
      if (after && waits_for_node(*after)) {
        controller_.enqueue(kube::key_of(*after));
      } else if (!after || (is_finished(*after) && !(before && is_finished(*before)))) {
        wake_waiting();  // something became free
      }
    });
    nodes_.on_change([this](const Object*, const Object*) { wake_waiting(); });
  }

  Task<void> run() override {
    const std::function<Task<void>(async::Scope&)> body = [this](async::Scope& scope) -> Task<void> {
      scope.spawn("events", events_.run());
      co_await controller_.run();
    };
    co_await async::with_scope(world_.loop.executor(), body);
  }

 private:
  static bool waits_for_node(const Object& pod) {
    const std::string_view scheduler = find_string(pod, "spec.schedulerName");
    return find_string(pod, "spec.nodeName").empty() && is_active(pod) &&
           !kube::find(pod, "spec.schedulingGates") && (scheduler.empty() || scheduler == kSchedulerName);
  }

  void wake_waiting() {
    for (const auto& [key, pod] : pods_.objects()) {
      if (waits_for_node(pod)) {
        controller_.enqueue(key);
      }
    }
  }

  Task<Result<kube::Outcome>> reconcile(kube::ObjectKey key) {
    const Object* found = pods_.find(key);
    if (!found || !waits_for_node(*found)) {
      co_return kube::Outcome{};
    }
    const Object pod = *found;
    // Placed pods that the copy does not show yet still take what they were given.
    LLMD_CO_TRY(const auto all, co_await world_.client.list(kube::kPods, ""));
    std::vector<const Object*> pods;
    for (const Object& other : all.items) {
      pods.push_back(&other);
    }
    std::vector<const Object*> nodes;
    for (const auto& [name, node] : nodes_.objects()) {
      nodes.push_back(&node);
    }
    const Placement placement = place(pod, nodes, pods);
    if (placement.node.empty()) {
      co_return co_await refuse(pod, placement.reason);
    }
    co_return co_await bind(pod, placement.node);
  }

  Task<Result<kube::Outcome>> bind(const Object& pod, const std::string& node) {
    Object binding{{"apiVersion", "v1"}, {"kind", "Binding"}};
    binding["metadata"] = {{"name", kube::name_of(pod)}, {"namespace", kube::namespace_of(pod)}};
    binding["target"] = {{"apiVersion", "v1"}, {"kind", "Node"}, {"name", node}};
    const std::string plural = fmt::format("pods/{}/binding", kube::name_of(pod));
    const kube::Resource resource{"", "v1", plural, "Binding"};
    auto bound = co_await world_.client.create(resource, std::move(binding));
    if (!bound && (bound.error().kind == ErrorKind::NotFound || bound.error().kind == ErrorKind::Conflict)) {
      co_return kube::Outcome{};  // gone or placed already
    }
    if (!bound) {
      co_return std::unexpected(std::move(bound.error()));
    }
    events_.record(pod, kube::EventType::Normal, "Scheduled",
                   fmt::format("Successfully assigned {} to {}", kube::key_of(pod).to_string(), node));
    co_return kube::Outcome{};
  }

  Task<Result<kube::Outcome>> refuse(const Object& pod, const std::string& reason) {
    const Object* old = kube::find_condition(pod, "PodScheduled");
    if (old && find_string(*old, "message") == reason) {
      co_return kube::Outcome{};
    }
    Object changed = pod;
    kube::set_condition(changed, "PodScheduled", "False", "Unschedulable", reason, world_.now());
    auto written = co_await world_.client.update_status(kube::kPods, std::move(changed));
    if (!written && written.error().kind != ErrorKind::NotFound) {
      co_return std::unexpected(std::move(written.error()));
    }
    events_.record(pod, kube::EventType::Warning, "FailedScheduling", reason);
    co_return kube::Outcome{};
  }

  World& world_;
  kube::Informer& pods_;
  kube::Informer& nodes_;
  kube::EventRecorder events_;
  kube::Controller controller_;
};

}  // namespace

std::unique_ptr<Part> make_scheduler(World& world) {
  return std::make_unique<Scheduler>(world);
}

}  // namespace llmd::controllers
