// Picker: which endpoint of a backend serves a request. Least loaded: the fewest leases, ties in turn.
// Filters, scorers and what they need of a request come in here without changing who calls it.
//
// Any thread: the endpoints are an immutable snapshot, swapped by update(); leases are atomic counters.
#pragma once

#include <atomic>
#include <span>
#include <string>
#include <string_view>

#include "async/snapshot.h"
#include "base/result.h"
#include "picker/endpoint.h"

namespace llmd::picker {

// What is known about a request when its endpoint is chosen. Views live during pick() only.
struct Request {
  std::string_view model;
  bool stream = false;
  std::size_t body_bytes = 0;
};

struct Decision {
  Lease lease;
  int candidates = 0;  // endpoints that were eligible
  int running = 0;     // requests that ran on the chosen one before this
  const Endpoint& endpoint() const { return lease.endpoint()->endpoint; }
  std::string explanation() const;
};

class Picker {
 public:
  // Errors: Unavailable when there is no endpoint, or none that is not in `exclude`.
  Result<Decision> pick(const Request& request, std::span<const EndpointPtr> exclude = {}) const;

  void update(std::vector<Endpoint> endpoints);
  std::shared_ptr<const EndpointSnapshot> endpoints() const { return snapshot_.load(); }

 private:
  async::Snapshot<EndpointSnapshot> snapshot_;
  mutable std::atomic<unsigned> turn_{0};
};

}  // namespace llmd::picker
