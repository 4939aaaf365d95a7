// Leader election through a Lease of coordination.k8s.io: one replica at a time leads. Loses leadership when
// it could not renew in time; gives the lease back when it ends in order.
#pragma once

#include <functional>
#include <string>

#include "kube/client.h"

namespace llmd::extproc {

struct LeaseOptions {
  kube::ObjectKey key;
  std::string identity;  // unique among the replicas
  Duration duration = std::chrono::seconds(15);
  Duration renew_deadline = std::chrono::seconds(10);
  Duration retry = std::chrono::seconds(2);
};

// Whether `identity` may take the lease at `now`: nobody holds it, or its holder has not renewed. Pure.
bool may_take(const kube::Object& lease, std::string_view identity, WallTime now);

// Until cancelled. `leading` is called on every change.
Task<void> lead(kube::Client& client, LeaseOptions options, std::function<void(bool)> leading);
// Lets others take over at once.
Task<void> give_up_lead(kube::Client& client, LeaseOptions options);

}  // namespace llmd::extproc
