// Publishes KV events over ZeroMQ as vLLM does: PUB socket with frames topic, sequence, batch; and a ROUTER
// socket that repeats the last batches for subscribers that missed some.
//
//   LLMD_TRY(auto publisher, EventPublisher::open({.endpoint = "tcp://*:5557", .topic = make_topic(pod,
//   model)})); publisher->publish({.timestamp = now, .events = {…}});
//
// Threads: publish() from any thread, never waits; a thread of the publisher's own encodes and sends. The
// destructor hands what is queued to ZeroMQ and stops it. Sequence numbers start at 0. A batch that does not
// fit into the queue uses up its number, so that subscribers notice the gap instead of believing that they
// know everything.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "kvcache/kv_event.h"

namespace llmd::kvcache {

class EventPublisher {
 public:
  enum class Role {
    ByEndpoint,  // vLLM's rule: bind what contains '*' or '::' or is ipc or inproc, connect otherwise
    Bind,
    Connect,
  };
  struct Options {
    std::string endpoint = "tcp://*:5557";
    std::string replay_endpoint;  // always bound; empty: no replay
    Role role = Role::ByEndpoint;
    std::string topic;
    EventEncoding encoding = EventEncoding::Map;
    std::size_t buffer_steps = 10'000;                  // batches kept for replay
    std::size_t buffer_bytes = std::size_t{256} << 20;  // and at most this much of them
    int high_water_mark = 100'000;                      // batches per slow subscriber
    std::size_t max_queued = 100'000;                   // batches not yet sent
  };
  struct Stats {
    std::uint64_t published = 0;
    std::uint64_t dropped = 0;  // the queue was full
    std::uint64_t replays = 0;
  };

  // Unavailable when an address is taken, InvalidArgument when it makes no sense.
  static Result<std::unique_ptr<EventPublisher>> open(Options options);
  ~EventPublisher();
  EventPublisher(const EventPublisher&) = delete;

  void publish(EventBatch batch);

  // The addresses that were bound, with real ports.
  const std::string& endpoint() const;
  const std::string& replay_endpoint() const;
  Stats stats() const;

 private:
  struct State;
  explicit EventPublisher(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// The endpoint of one data-parallel rank: every port is offset by the rank.
Result<std::string> endpoint_of_rank(const std::string& endpoint, std::uint32_t rank);

}  // namespace llmd::kvcache
