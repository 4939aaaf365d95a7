#include "controllers/owner_controller.h"

#include <boost/json/object.hpp>

namespace llmd::controllers {

using kube::Object;

OwnerController::OwnerController(World& world, std::string_view name, const kube::Resource& owners,
                                 const kube::Resource& owned)
    : world_(world),
      events_(world.loop, world.client, fmt::format("{}-controller", name)),
      controller_(world.loop, std::string(name),
                  [this](kube::ObjectKey key) { return reconcile(std::move(key)); }) {
  world.informer(owners).on_change([this](const Object* before, const Object* after) {
    controller_.enqueue(kube::key_of(after ? *after : *before));
  });
  world.informer(owned).on_change([this, kind = owners.kind](const Object* before, const Object* after) {
    const Object& object = after ? *after : *before;
    if (const Object* owner = kube::controller_of(object);
        owner && kube::find_string(*owner, "kind") == kind) {
      controller_.enqueue(
          {std::string(kube::namespace_of(object)), std::string(kube::find_string(*owner, "name"))});
    }
  });
}

Task<void> OwnerController::run() {
  const std::function<Task<void>(async::Scope&)> body = [this](async::Scope& scope) -> Task<void> {
    scope.spawn("events", events_.run());
    co_await controller_.run();
  };
  co_await async::with_scope(world_.loop.executor(), body);
}

}  // namespace llmd::controllers
