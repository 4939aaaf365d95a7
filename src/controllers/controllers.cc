#include "controllers/controllers.h"

#include "controllers/binder.h"
#include "controllers/cluster_view.h"
#include "controllers/deployment.h"
#include "controllers/endpoint_slices.h"
#include "controllers/garbage.h"
#include "controllers/namespaces.h"
#include "controllers/replica_set.h"

namespace llmd::controllers {

struct Controllers::State {
  State(async::EventLoop& loop, kube::Client& client)
      : view(loop, client),
        deployments(view),
        replica_sets(view),
        endpoint_slices(view),
        garbage(view),
        namespaces(view),
        binder(view) {}

  ClusterView view;
  DeploymentController deployments;
  ReplicaSetController replica_sets;
  EndpointSliceController endpoint_slices;
  GarbageCollector garbage;
  NamespaceController namespaces;
  Binder binder;
};

Controllers::Controllers(async::EventLoop& loop, kube::Client& client)
    : state_(std::make_unique<State>(loop, client)) {}

Controllers::~Controllers() = default;

// Nothing is reconciled before every kind has been listed once: a controller that sees Deployments but not
// yet their ReplicaSets would make them twice.
Task<void> Controllers::run() {
  co_await async::with_scope(state_->view.loop().executor(), [this](async::Scope& scope) -> Task<void> {
    state_->view.start(scope);
    co_await state_->view.synced();
    scope.spawn("deployments", state_->deployments.run());
    scope.spawn("replica sets", state_->replica_sets.run());
    scope.spawn("endpoint slices", state_->endpoint_slices.run());
    scope.spawn("garbage", state_->garbage.run());
    scope.spawn("namespaces", state_->namespaces.run());
    scope.spawn("binder", state_->binder.run());
    co_await scope.join();
  });
}

}  // namespace llmd::controllers
