// FlowQueue: requests that wait for room in the pool, by priority and flow. The rules without threads and
// waiting; flow_control.h adds those.
//
//   bands    one per priority, served strictly from high to low; priorities without a band wait in band 0
//   flows    within a band one queue per fairness id; a fairness policy chooses the next one
//   limits   per band and over all, in requests and bytes. A full band refuses. Critical requests (priority
//            above 0) are never refused for want of space: they displace the newest of a lower priority, or
//            exceed the limit.
//   time     a request that waited for its TTL is given up; while the pool is empty the other TTL counts, and
//            the clock starts again when that changes. Critical requests wait as long as their caller does.
#pragma once

#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "picker/flowcontrol/policies.h"
#include "picker/metrics/page.h"
#include "picker/plan.h"

namespace llmd::picker {

class FlowQueue {
 public:
  FlowQueue(const FlowEntry& options, const Plan& plan, int shed_status);
  ~FlowQueue();

  struct Waiting : FlowItem {
    // Told once, under the queue's lock: no value when dispatched.
    std::function<void(std::optional<Rejection>)> settle;
    bool queued = false;
    int band = 0;
  };

  // Takes the item in; it must stay where it is until it is settled or removed.
  std::expected<void, Rejection> add(Waiting& item, TimePoint now);
  void remove(Waiting& item);

  // Dispatches the next request if `saturation` is below its ceiling. False: nothing waits or no room.
  bool dispatch_one(double saturation, TimePoint now);
  // Whether a request of this priority would have to wait behind others of the same or a higher one.
  bool must_wait(int priority) const;
  bool has_room(int priority, double saturation) const;
  // Where requests of this priority wait: its own band, or 0.
  int band_key(int priority) const;

  // The first band with waiting requests, when saturation keeps it from being served.
  struct Blocked {
    int priority = 0;
    double ceiling = 0;
  };
  std::optional<Blocked> blocked(double saturation) const;

  void expire(TimePoint now);
  // The pool became empty or has endpoints again.
  void pool_changed(bool empty, TimePoint now);
  void set_priorities(std::span<const int> priorities);
  void reject_all(const Rejection& rejection);

  std::size_t size() const { return size_; }
  std::size_t displaced() const { return displaced_; }
  json::Value state() const;
  // Lengths of queues and what share of their limits is used.
  void write(Page& page, std::string_view pool) const;

 private:
  struct Band {
    BandEntry limits;
    const FairnessPolicy* fairness = nullptr;
    const OrderingPolicy* ordering = nullptr;
    Flows flows;
    std::string last;
    std::size_t requests = 0;
    std::int64_t bytes = 0;
    bool configured = true;
  };
  void make_band(int priority, const BandEntry& limits, bool configured);
  bool is_full(const Band& band, const FlowItem& item) const;
  bool displace_below(int priority);
  void take_out(Waiting& item);
  void refresh_ceilings(double saturation) const;

  const FlowEntry options_;
  const Plan& plan_;
  const int shed_status_;
  std::map<int, Band, std::greater<>> bands_;
  std::size_t size_ = 0;
  std::int64_t bytes_ = 0;
  std::uint64_t next_number_ = 0;
  std::size_t displaced_ = 0;
  bool pool_empty_ = false;
  TimePoint regime_since_;
  mutable std::vector<int> priorities_;
  mutable std::vector<double> ceilings_;
};

}  // namespace llmd::picker
