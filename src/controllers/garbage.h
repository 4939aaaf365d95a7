// Garbage collection: an object whose owners are all gone is deleted; a foreground deletion waits for the
// dependents.
#pragma once

#include "controllers/cluster_view.h"
#include "kube/controller.h"

namespace llmd::controllers {

class GarbageCollector {
 public:
  explicit GarbageCollector(ClusterView& view);
  Task<void> run() { return controller_.run(); }

 private:
  // Keys are "plural/name" in a namespace: one queue for all kinds.
  void enqueue(const kube::Resource& resource, const kube::Object& object);
  void enqueue_dependents(std::string_view owner_uid);
  Task<Result<kube::Outcome>> reconcile(kube::ObjectKey key);
  Task<Result<bool>> owner_is_gone(const kube::Object& dependent, const kube::Object& reference);
  Task<Result<bool>> all_owners_gone(const kube::Object& dependent);
  Task<Result<kube::Outcome>> finish_foreground(const kube::Resource& resource, kube::Object owner);

  ClusterView& view_;
  kube::Controller controller_;
};

}  // namespace llmd::controllers
