// Publishes what the engine's prefix cache holds, as vLLM does (--kv-events-config): one batch per step that
// changed it. Endpoint pickers follow it (kvcache/kv_follower.h).
//
// Threads: the CacheListener's functions on the engine's thread; nothing here waits for a subscriber. What
// does not fit into the queue is dropped and counted, and uses up its sequence number, so that subscribers
// ask for it again or begin anew.
#pragma once

#include <memory>
#include <string>

#include "engine/core/cache_listener.h"
#include "engine/server/serve_options.h"
#include "kvcache/event_publisher.h"
#include "metrics/registry.h"

namespace llmd::engine {

// Reads the JSON of --kv-events-config.
Result<void> read_kv_events_config(KvEventFlags& into, std::string_view text);

class KvEvents final : public CacheListener {
 public:
  // Where the server is. Several on one machine, each with an address of its own, are told the same endpoint:
  // where --host was given, '*' means that address.
  struct Place {
    std::string host;  // address it listens on
    bool host_was_asked_for = false;
    std::string pod;  // address:port under which routers know it
    std::string model;
  };
  // Unavailable when an address is taken. The registry outlives this object.
  static Result<std::unique_ptr<KvEvents>> open(const KvEventFlags& flags, const Place& place,
                                                metrics::Registry& registry);

  void on_stored(const StoredBlocks& blocks) override;
  void on_removed(const BlockHash& block) override;
  void on_cleared() override;
  void on_step_end() override;

  // Where subscribers connect to, with real ports.
  const std::string& endpoint() const { return publisher_->endpoint(); }
  const std::string& replay_endpoint() const { return publisher_->replay_endpoint(); }

 private:
  explicit KvEvents(std::shared_ptr<kvcache::EventPublisher> publisher) : publisher_(std::move(publisher)) {}

  const std::shared_ptr<kvcache::EventPublisher> publisher_;  // shared with the registry's callback
  kvcache::EventBatch step_;
};

}  // namespace llmd::engine
