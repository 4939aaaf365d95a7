// KvFollower keeps a KvIndex fed: one subscription per engine of a list that changes, in the index a slot per
// engine.
//
//   KvIndex index({.block_size = 16});
//   KvFollower follower(index, {.port = 5557, .replay_port = 5558});
//   follower.follow(targets);                        // again whenever the list changes
//   const auto endpoint = follower.endpoint("10.0.0.1:8000");
//
// Two topologies (both at once if wanted):
//   each engine binds, we connect to its address: `port` plus the engine's data-parallel rank;
//   engines connect to us: `central_endpoint` is bound, and the topic kv@IP:PORT@MODEL says who speaks.
//   Whoever is not in the list is ignored, and counted.
// A target that leaves the list is unsubscribed and its blocks are forgotten at once; one whose address
// changes is both. Engines that begin anew or lose messages are cleared by what EventSubscriber finds out.
//
// Threads: all functions from any thread; follow() calls do not overlap. The index must outlive the follower.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvcache/event_subscriber.h"
#include "kvcache/kv_index.h"

namespace llmd::kvcache {

struct KvTarget {
  std::string address;     // "10.0.0.1:8000" or "[fd00::1]:8000": identity, and what topics call it
  std::string host;        // where its events come from: an IP address or a name
  std::uint32_t rank = 0;  // data parallel
  // The served model, for messages that do not say it: vLLM before 0.26 replays without the topic. Without it
  // such blocks are taken for a model without a name, and match nothing.
  std::string model;
  bool operator==(const KvTarget&) const = default;
};

class KvFollower {
 public:
  struct Options {
    std::uint16_t port = 5557;      // 0: connect to nobody
    std::uint16_t replay_port = 0;  // 0: engines have no replay
    std::string central_endpoint;   // "tcp://*:5557"; empty: nobody connects to us
    EventSubscriber::Options subscriber;
    // Kept while a batch of this engine is applied, so that somebody may watch; any thread.
    std::function<std::shared_ptr<void>(std::string_view address, const EventBatch& batch)> watch;
  };
  struct Stats {
    SourceStats sources;
    std::size_t subscriptions = 0;
    std::uint64_t strangers = 0;  // batches from engines that are not in the list
    std::size_t in_hand = 0;      // batches that were read and are being applied
  };

  KvFollower(KvIndex& index, Options options);
  ~KvFollower();

  // ResourceExhausted when the index has no slot for some; the others are followed all the same.
  Result<void> follow(std::span<const KvTarget> targets);
  std::optional<EndpointHandle> endpoint(std::string_view address) const;
  // Forgets this engine's blocks and asks for them again, where it can be asked: the answer to PrefixCheck's
  // Heal.
  void heal(std::string_view address);
  Stats stats() const;
  std::optional<SourceStats> stats_of(std::string_view address) const;
  // Where engines connect to, with the real port; empty until it is bound.
  std::string central_endpoint() const;
  SourceStats central_stats() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::kvcache
