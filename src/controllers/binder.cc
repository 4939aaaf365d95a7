#include "controllers/binder.h"

#include <boost/json.hpp>

namespace llmd::controllers {

Binder::Binder(ClusterView& view)
    : view_(view),
      controller_(view.loop(), "binder", [this](kube::ObjectKey key) { return reconcile(std::move(key)); }) {
  view.of(kube::kPods).on_change([this](const kube::Object* /*before*/, const kube::Object* after) {
    if (after != nullptr && kube::find_string(*after, "spec.nodeName").empty()) {
      controller_.enqueue(kube::key_of(*after));
    }
  });
}

Task<Result<kube::Outcome>> Binder::reconcile(kube::ObjectKey key) {
  const auto* pod = view_.of(kube::kPods).find(key);
  if (pod == nullptr || kube::is_being_deleted(*pod) || !kube::find_string(*pod, "spec.nodeName").empty()) {
    co_return kube::Outcome{};
  }
  const auto& nodes = view_.of(kube::kNodes).objects();
  if (nodes.empty()) {
    co_return kube::Outcome{.again_after = std::chrono::milliseconds(200)};  // the node is just registering
  }
  kube::Object patch{{"spec", kube::Object{{"nodeName", nodes.begin()->first.name}}}};
  const auto bound = co_await view_.client().merge_patch(kube::kPods, std::move(key), std::move(patch));
  if (!bound && bound.error().kind != ErrorKind::NotFound) {
    co_return std::unexpected(bound.error());
  }
  co_return kube::Outcome{};
}

}  // namespace llmd::controllers
