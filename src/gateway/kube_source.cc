#include "gateway/kube_source.h"

#include "async/event.h"
#include "async/scope.h"
#include "gateway/build_routes.h"
#include "kube/informer.h"

namespace llmd::gateway {
namespace {

// Changes come in bursts (a rollout touches slices several times); one table for a burst is enough.
constexpr auto kBurst = std::chrono::milliseconds(5);

std::vector<const kube::Object*> all_of(const kube::Informer& informer) {
  std::vector<const kube::Object*> objects;
  for (const auto& [key, object] : informer.objects()) {
    objects.push_back(&object);
  }
  return objects;
}

}  // namespace

struct KubeSource::State {
  State(async::EventLoop& used, kube::Client& client, Gateway& fed)
      : loop(used),
        gateway(fed),
        routes(loop, client, kube::kHttpRoutes),
        services(loop, client, kube::kServices),
        slices(loop, client, kube::kEndpointSlices),
        changed(loop.executor()) {
    for (kube::Informer* informer : {&routes, &services, &slices}) {
      informer->on_change([this](const kube::Object*, const kube::Object*) { changed.set(); });
    }
  }

  Task<void> feed(async::Scope& scope) {
    scope.spawn("routes", routes.run());
    scope.spawn("services", services.run());
    scope.spawn("endpoint slices", slices.run());
    // Half a picture would refuse what the whole one serves.
    co_await routes.synced();
    co_await services.synced();
    co_await slices.synced();
    while (true) {
      changed.reset();
      gateway.update(build_routes({all_of(routes), all_of(services), all_of(slices)}));
      co_await changed.wait();
      co_await async::sleep(kBurst);
    }
  }

  async::EventLoop& loop;
  Gateway& gateway;
  kube::Informer routes;
  kube::Informer services;
  kube::Informer slices;
  async::Event changed;
};

KubeSource::KubeSource(async::EventLoop& loop, kube::Client& client, Gateway& gateway)
    : state_(std::make_unique<State>(loop, client, gateway)) {}

KubeSource::~KubeSource() = default;

Task<void> KubeSource::run() {
  auto body = [this](async::Scope& scope) -> Task<void> { return state_->feed(scope); };
  co_await async::with_scope(state_->loop.executor(), body);
}

}  // namespace llmd::gateway
