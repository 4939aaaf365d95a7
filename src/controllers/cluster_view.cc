#include "controllers/cluster_view.h"

#include "base/assert.h"

namespace llmd::controllers {

ClusterView::ClusterView(async::EventLoop& loop, kube::Client& client) : loop_(loop), client_(client) {
  for (const kube::Resource& resource : kube::known_resources()) {
    if (resource != kube::kEvents) {
      informers_[std::string(resource.plural)] = std::make_unique<kube::Informer>(loop, client, resource);
    }
  }
}

kube::Informer& ClusterView::of(const kube::Resource& resource) {
  const auto found = informers_.find(resource.plural);
  LLMD_ASSERT(found != informers_.end(), "every known kind has an informer");
  return *found->second;
}

void ClusterView::on_any_change(
    std::function<void(const kube::Resource&, const kube::Object*, const kube::Object*)> callback) {
  for (const kube::Resource& resource : kube::known_resources()) {
    if (resource != kube::kEvents) {
      of(resource).on_change([callback, &resource](const kube::Object* before, const kube::Object* after) {
        callback(resource, before, after);
      });
    }
  }
}

void ClusterView::start(async::Scope& scope) {
  for (const auto& [plural, informer] : informers_) {
    scope.spawn("informer", informer->run());
  }
}

Task<void> ClusterView::synced() {
  for (const auto& [plural, informer] : informers_) {
    co_await informer->synced();
  }
}

std::vector<const kube::Object*> ClusterView::owned(const kube::Resource& resource,
                                                    std::string_view name_space, std::string_view owner_uid) {
  std::vector<const kube::Object*> found;
  for (const auto& [key, object] : of(resource).objects()) {
    const auto* controller = key.name_space == name_space ? kube::controller_of(object) : nullptr;
    if (controller != nullptr && kube::find_string(*controller, "uid") == owner_uid) {
      found.push_back(&object);
    }
  }
  return found;
}

}  // namespace llmd::controllers
