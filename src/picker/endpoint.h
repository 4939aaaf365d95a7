// Endpoints, their snapshots and the leases that count who uses them.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/address.h"

namespace llmd::picker {

struct Endpoint {
  net::Address address;
  std::string name;  // of the pod, for people
  std::map<std::string, std::string> labels;
  bool operator==(const Endpoint&) const = default;
};

// An endpoint together with what is counted about it. Lives as long as a snapshot or a lease refers to it, so
// that numbers survive updates of the list. Any thread.
class EndpointState {
 public:
  explicit EndpointState(Endpoint described) : endpoint(std::move(described)) {}
  const Endpoint endpoint;
  int running() const { return running_.load(std::memory_order_relaxed); }

 private:
  friend class Lease;
  mutable std::atomic<int> running_{0};
};
using EndpointPtr = std::shared_ptr<const EndpointState>;

// Counts one request on its endpoint while it lives. Released exactly once, by the destructor (or earlier by
// release()), whatever ends the request.
class Lease {
 public:
  Lease() = default;
  explicit Lease(EndpointPtr endpoint);
  Lease(Lease&& other) noexcept : endpoint_(std::exchange(other.endpoint_, nullptr)) {}
  Lease& operator=(Lease&& other) noexcept;
  ~Lease() { release(); }

  void release();
  const EndpointPtr& endpoint() const { return endpoint_; }
  explicit operator bool() const { return endpoint_ != nullptr; }

 private:
  EndpointPtr endpoint_;
};

// All endpoints of one backend at one time. Immutable.
struct EndpointSnapshot {
  std::vector<EndpointPtr> endpoints;
  int running() const;  // requests on all of them
};

// The snapshot that follows `previous`: endpoints that stay keep their state.
std::shared_ptr<const EndpointSnapshot> next_snapshot(const EndpointSnapshot& previous,
                                                      std::vector<Endpoint> endpoints);

}  // namespace llmd::picker
