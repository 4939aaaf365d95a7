// PrefillBacklog: how many prompt tokens each endpoint has still to compute before a request that comes now.
// Engines read prompts in the order of their arrival; which part of the first one is already done follows
// from when the one before it was, and from the speed seen so far. Any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

#include "base/clock.h"

namespace llmd::picker {

class PrefillBacklog {
 public:
  // Names a prompt.
  struct Ticket {
    std::uint32_t endpoint = 0;  // EndpointState::id
    std::uint32_t number = 0;    // among the prompts of its endpoint
  };

  // `tokens`: those that are not cached.
  Ticket add(std::uint32_t endpoint, double tokens, TimePoint now);
  // Its first token came: it has been read, and so have those before it.
  void read(Ticket ticket, TimePoint now);
  // It ended without a token.
  void drop(Ticket ticket, TimePoint now);

  // Holds a lock while it lives.
  class View {
   public:
    double tokens(std::uint32_t endpoint) const;

   private:
    friend class PrefillBacklog;
    View(const PrefillBacklog& backlog, TimePoint now)
        : backlog_(backlog), lock_(backlog.mutex_), now_(now) {}
    const PrefillBacklog& backlog_;
    const std::unique_lock<std::mutex> lock_;
    const TimePoint now_;
  };
  View at(TimePoint now) const { return {*this, now}; }

 private:
  struct Prompt {
    std::uint32_t number = 0;
    double tokens = 0;
  };
  struct Queue {
    std::deque<Prompt> prompts;
    double tokens = 0;     // of all of them
    TimePoint since;       // when the first of them began to be read
    bool follows = false;  // then another one had just been read, so that its time is pure computing
    std::uint32_t last = 0;
  };
  void learn_speed(const Queue& queue, TimePoint now);

  mutable std::mutex mutex_;
  std::vector<Queue> queues_;  // by endpoint
  // Computing seen so far, the older the less it counts.
  double seen_tokens_ = 0;
  double seen_seconds_ = 0;
};

}  // namespace llmd::picker
