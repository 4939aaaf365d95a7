#include "controllers/namespaces.h"

#include <boost/json.hpp>

namespace llmd::controllers {

NamespaceController::NamespaceController(ClusterView& view)
    : view_(view), controller_(view.loop(), "namespace", [this](kube::ObjectKey key) {
        return reconcile(std::move(key));
      }) {
  view.of(kube::kNamespaces).on_change([this](const kube::Object* /*before*/, const kube::Object* after) {
    if (after != nullptr && kube::is_being_deleted(*after)) {
      controller_.enqueue(kube::key_of(*after));
    }
  });
}

Task<Result<int>> NamespaceController::empty(std::string name_space) {
  int left = 0;
  for (const kube::Resource& resource : kube::known_resources()) {
    if (!resource.namespaced) {
      continue;
    }
    LLMD_CO_TRY(const auto list, co_await view_.client().list(resource, name_space));
    for (const kube::Object& object : list.items) {
      ++left;
      if (!kube::is_being_deleted(object)) {
        const auto removed = co_await view_.client().remove(resource, kube::key_of(object));
        if (!removed && removed.error().kind != ErrorKind::NotFound) {
          co_return std::unexpected(removed.error());
        }
      }
    }
  }
  co_return left;
}

Task<Result<kube::Outcome>> NamespaceController::reconcile(kube::ObjectKey key) {
  const auto* found = view_.of(kube::kNamespaces).find(key);
  if (found == nullptr || !kube::is_being_deleted(*found)) {
    co_return kube::Outcome{};
  }
  LLMD_CO_TRY(const int left, co_await empty(key.name));
  if (left > 0) {
    co_return kube::Outcome{.again_after = std::chrono::milliseconds(500)};
  }
  kube::Object patch{{"spec", kube::Object{{"finalizers", boost::json::array()}}}};
  const auto released =
      co_await view_.client().merge_patch(kube::kNamespaces, std::move(key), std::move(patch));
  if (!released && released.error().kind != ErrorKind::NotFound) {
    co_return std::unexpected(released.error());
  }
  co_return kube::Outcome{};
}

}  // namespace llmd::controllers
