// Leader election through a Lease of coordination.k8s.io: one replica at a time leads. Loses leadership when
// it could not renew in time; gives the lease back when it ends in order. Understands and is understood by
// client-go's election. One loop.
#pragma once

#include <functional>
#include <string>

#include "kube/client.h"

namespace llmd::kube {

struct LeaseOptions {
  ObjectKey key;
  std::string identity;  // unique among the replicas
  // After these without a renewal others take the lease. The holder stops before: renew_deadline and one
  // retry must be shorter than duration.
  Duration duration = std::chrono::seconds(15);
  Duration renew_deadline = std::chrono::seconds(10);
  Duration retry = std::chrono::seconds(2);
};

// Whether a lease may be taken, by our own clock: those of other nodes differ, so what counts is how long
// we have seen nobody renew it. Pure but for what it remembers.
class LeaseWatch {
 public:
  bool may_take(const Object& lease, std::string_view identity, TimePoint now);

 private:
  std::string seen_;
  TimePoint since_;
};

// Until cancelled. `leading` is called on every change; being cancelled is none: who cancels knows.
Task<void> lead(Client& client, LeaseOptions options, std::function<void(bool)> leading);
// Lets others take over at once. Takes a few seconds at most, also when the API server is away.
Task<void> give_up_lead(Client& client, LeaseOptions options);

}  // namespace llmd::kube
