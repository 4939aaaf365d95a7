// FlowQueue: requests that wait for room in the pool, by priority and flow. The rules without threads and
// waiting; flow_control.h adds those.
//
//   bands    one per priority, served strictly from high to low; priorities without a band wait in band 0,
//   and
//            move when they get one
//   flows    within a band one queue per fairness id; a fairness policy chooses the next one
//   limits   per band and over all, in requests and bytes. A full band refuses. Critical requests (priority
//            above 0) are never refused for want of space: they displace the newest of the lowest priority,
//            as many as they need and none in vain, or else exceed the limit.
//   time     a request that waited for its TTL is given up; while the pool is empty the other TTL counts, and
//            the clock starts again when that changes; who has waited for both is given up whatever changed.
//            Critical requests wait as long as their caller does.
//
// Adding, removing, dispatching and giving up cost no more when more requests wait than a balanced tree does.
#pragma once

#include <expected>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "picker/flowcontrol/flow_totals.h"
#include "picker/flowcontrol/policies.h"
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

   private:
    friend class FlowQueue;
    Flows::iterator flow_at;
    Flow::iterator place;
    std::list<Waiting*>::iterator arrival;  // if it is not critical
  };

  // Takes the item in; it must stay where it is until it is settled or removed.
  std::expected<void, Rejection> add(Waiting& item, TimePoint now);
  void remove(Waiting& item);

  // Dispatches the next request if `saturation` is below its ceiling. False: nothing waits or no room.
  bool dispatch_one(double saturation, TimePoint now);
  // Whether a request of this priority would have to wait behind others of the same or a higher one.
  bool must_wait(int priority) const;
  // For one that does not have to wait. Usage limits that count their calls take this for one, as they do
  // dispatch_one().
  bool has_room(int priority, double saturation);
  // Where requests of this priority wait: its own band, or 0.
  int band_key(int priority) const;

  // The first band with waiting requests, when the last look (dispatch_one, has_room) found no room for it.
  struct Blocked {
    int priority = 0;
    double ceiling = 0;
  };
  std::optional<Blocked> blocked() const;

  // The last in line: whoever waits longest from now on, if nobody else comes. Null: nobody waits.
  Waiting* last() const;

  void expire(TimePoint now);
  // The pool became empty or has endpoints again.
  void pool_changed(bool empty, TimePoint now);
  // Priorities that have a band besides the configured ones. Others lose theirs once nobody waits there.
  void set_priorities(std::span<const int> priorities);
  void drop_unwanted_bands();
  void reject_all(const Rejection& rejection);

  std::size_t size() const { return size_; }
  std::size_t displaced() const { return displaced_; }
  json::Value state() const;
  FlowTotals totals() const;

 private:
  struct Band {
    BandEntry limits;
    const FairnessPolicy* fairness = nullptr;
    const OrderingPolicy* ordering = nullptr;
    bool one_flow = false;         // the policy ignores flows: there is one, without a name
    bool wanted = true;            // configured, or an objective has this priority
    Flows flows;                   // by fairness id
    std::list<Waiting*> arrivals;  // those that are not critical, the oldest first
    std::string last;
    std::size_t requests = 0;
    std::int64_t bytes = 0;
  };
  using Victims = std::vector<Waiting*>;
  void make_band(int priority, const BandEntry& limits);
  void move_to_own_band(int priority);
  bool is_full(const Band& band, const FlowItem& item) const;
  void displace_for(const Band& band, const FlowItem& item);
  void give_up(const Victims& victims, const Rejection& rejection);
  void put_in(Waiting& item, Band& band);
  void take_out(Waiting& item);
  bool is_late(const FlowItem& item, TimePoint now) const;
  Duration budget() const;
  double ceiling_of(int priority) const;
  void refresh_ceilings(double saturation);

  const FlowEntry options_;
  const Plan& plan_;
  const int shed_status_;
  std::map<int, Band, std::greater<>> bands_;
  std::size_t unwanted_ = 0;  // bands
  std::size_t size_ = 0;
  std::int64_t bytes_ = 0;
  std::uint64_t next_number_ = 0;
  std::size_t displaced_ = 0;
  bool pool_empty_ = false;
  TimePoint regime_since_;
  std::vector<int> priorities_;
  std::vector<double> ceilings_;
  double looked_with_ = 0;  // saturation
};

}  // namespace llmd::picker
