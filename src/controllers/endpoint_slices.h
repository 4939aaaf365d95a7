// EndpointSlice: the addresses behind every Service with a selector, ready or not, as pods come and go.
#pragma once

#include "controllers/cluster_view.h"
#include "kube/controller.h"

namespace llmd::controllers {

class EndpointSliceController {
 public:
  explicit EndpointSliceController(ClusterView& view);
  Task<void> run() { return controller_.run(); }

 private:
  void enqueue_services_of(const kube::Object& pod);
  Task<Result<kube::Outcome>> reconcile(kube::ObjectKey key);

  ClusterView& view_;
  kube::Controller controller_;
};

// The slice of a Service. Named ports are looked up in the first pod that has them. Pure.
kube::Object endpoint_slice(const kube::Object& service, const std::vector<const kube::Object*>& pods);

}  // namespace llmd::controllers
