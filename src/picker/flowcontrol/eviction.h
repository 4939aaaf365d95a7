// Evictor: takes requests that run and may be shed (priority below 0) back from their engines, so that
// waiting requests of a higher priority get room: `flowControl.enableEviction`. The rules without threads:
//
//   whom     the lowest priority first, of these the newest, and only below the priority that waits; never
//            one whose endpoint has left the pool, for its end would make no room there
//   many     as many as the saturation is over the ceiling, at least one, at most two at a time
//   again    when all of them have ended (or ten seconds are over), and numbers had time to follow. Who ends
//            later than that was given up: nobody waits for it any longer
//
// Formulas as llm-d's reclamation has them. Called under flow control's lock.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string_view>

#include "base/clock.h"
#include "picker/endpoint.h"
#include "picker/metrics/page.h"

namespace llmd::picker {

class Evictor {
 public:
  // `grace`: how long numbers take to show what an eviction brought. `has`: whether an endpoint is one of the
  // pool's; absent: all are.
  explicit Evictor(Duration grace, std::function<bool(const EndpointState&)> has = {})
      : grace_(grace), has_(std::move(has)) {}

  struct Running {
    int priority = 0;
    std::uint64_t number = 0;  // in the order of arrival
    // Asks for its end; the request is gone when remove() is called, which this must not do itself.
    std::function<void()> evict;
    EndpointPtr endpoint;     // where it runs; null: in the pool
    std::uint64_t round = 0;  // in which it was asked; 0: it was not
    TimePoint asked_at;
  };
  void add(Running& running);
  void remove(Running& running, TimePoint now);

  struct Demand {
    int priority = 0;  // of the first that waits and has no room
    double saturation = 0;
    double ceiling = 1;
    int in_flight = 0;  // requests on all endpoints
  };
  // How many were asked to end.
  std::size_t reclaim(const Demand& demand, TimePoint now);

  std::size_t pending() const { return pending_; }
  void write(Page& page, std::string_view pool) const;

 private:
  struct Order {
    bool operator()(const Running* a, const Running* b) const {
      return a->priority != b->priority ? a->priority < b->priority : a->number > b->number;
    }
  };
  bool may_ask(TimePoint now);
  void ask(Running& victim, TimePoint now);

  const Duration grace_;
  const std::function<bool(const EndpointState&)> has_;
  std::set<Running*, Order> running_;  // that were not asked
  std::uint64_t round_ = 0;            // of asking
  std::size_t pending_ = 0;            // asked in this round, and running
  TimePoint asked_at_;
  TimePoint quiet_until_;
  std::size_t target_ = 0;
  std::map<int, std::uint64_t> issued_;  // by priority
  std::uint64_t confirmed_ = 0;
  std::uint64_t timed_out_ = 0;
  double confirmation_seconds_ = 0;
};

}  // namespace llmd::picker
