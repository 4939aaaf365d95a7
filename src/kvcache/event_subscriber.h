// Receives KV events from many engines over ZeroMQ, in order, and knows when it missed something.
//
//   EventSubscriber subscriber({}, sink);
//   const SourceId id = subscriber.add({.endpoint = "tcp://10.0.0.1:5557", .replay_endpoint =
//   "tcp://10.0.0.1:5558"});
//
// Sequence numbers decide. With a replay endpoint:
//   1. at first, everything the publisher still has is replayed, before live messages;
//   2. after a gap, the missing batches are replayed;
//   3. after a reconnection, the last batch is asked for again: if it is not the same, another process
//   answers;
//   4. when a source has fallen quiet, the last batch is asked for once more too: what got lost at the end of
//   a burst has
//      no later message that would show the gap;
//   5. if numbers begin again (restart), or a replay has a hole or fails: on_reset(), then a full replay. A
//   failed full
//      replay is given up and the source goes on live, with what it can know; the next is tried after
//      `cooldown`.
// Live messages wait in ZeroMQ's queue meanwhile, up to the high-water mark. Without a replay endpoint
// batches are applied as they come; gaps are counted, a restart resets.
//
// Threads: one of the subscriber's own for all sources; the sink is called on it. All functions may be called
// from any thread and never wait for the network. libzmq reconnects by itself, with back-off. After remove()
// a batch that was on its way may still be delivered: sinks ignore ids they do not know.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "kvcache/kv_event.h"

namespace llmd::kvcache {

enum class SourceId : std::uint64_t {};

enum class ResetReason {
  Restarted,     // the publisher began anew
  LostMessages,  // and they cannot be replayed
  Asked,         // resync()
};
std::string_view to_string(ResetReason reason);

class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void on_events(SourceId source, std::string_view topic, EventBatch batch) = 0;
  // Everything known from this source is void. `topic` is empty except for sources that bind, where it names
  // the publisher.
  virtual void on_reset(SourceId source, std::string_view topic, ResetReason reason) = 0;
};

struct EventSource {
  std::string name;             // for logs
  std::string endpoint;         // tcp://10.0.0.1:5557
  std::string replay_endpoint;  // empty: none
  // All engines connect to us instead (no replay then; each topic has sequence numbers of its own).
  bool bind = false;
};

struct SourceStats {
  std::uint64_t batches = 0;
  std::uint64_t events = 0;
  std::uint64_t replayed = 0;  // batches that came by replay
  std::uint64_t duplicates = 0;
  std::uint64_t gaps = 0;
  std::uint64_t missed = 0;  // batches in gaps
  std::uint64_t restarts = 0;
  std::uint64_t resets = 0;
  std::uint64_t replays = 0;
  std::uint64_t failed_replays = 0;
  std::uint64_t reconnections = 0;
  std::uint64_t malformed = 0;  // messages that are none, batches that cannot be read
  std::uint64_t bad_events = 0;
  std::uint64_t unknown_events = 0;
  double lag_seconds = 0;  // of the last batch: now minus its time
  bool replaying = false;
  std::string bound_endpoint;  // where a source that binds is reached
};

class EventSubscriber {
 public:
  struct Options {
    std::string topic_filter = "kv@";
    int high_water_mark = 100'000;
    std::chrono::milliseconds reconnect_first{100};
    std::chrono::milliseconds reconnect_last{5'000};
    std::chrono::milliseconds replay_idle{2'000};  // a replay without an answer is asked for again after this
    std::chrono::milliseconds replay_total{120'000};
    int replay_attempts = 3;      // without progress
    std::size_t max_replays = 8;  // at once
    std::chrono::milliseconds cooldown{30'000};
    std::chrono::milliseconds quiet_check{2'000};  // after this long without a message; 0: never
    std::size_t max_publishers = 4'096;            // of a source that binds
  };

  EventSubscriber(Options options, EventSink& sink);
  ~EventSubscriber();  // no calls to the sink after this
  EventSubscriber(const EventSubscriber&) = delete;

  // An address that makes no sense shows in the source's log lines and stats, as one that is not reachable
  // would.
  SourceId add(EventSource source);
  void remove(SourceId source);
  // Forgets what came from this source and asks for all of it again, if it can be replayed.
  void resync(SourceId source);

  std::size_t sources() const;
  SourceStats stats(SourceId source) const;
  SourceStats total() const;  // of all that are there now

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::kvcache
