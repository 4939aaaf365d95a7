// One simulated engine of a fleet, with the KV events it publishes.
#pragma once

#include <memory>
#include <string>

#include "engine/core/cache_listener.h"
#include "engine/server/kv_events.h"
#include "engine/server/serve_options.h"
#include "engine/sim/sim_core.h"
#include "engine/sim/sim_tokenizer.h"
#include "metrics/registry.h"
#include "picker/endpoint.h"

namespace llmd::engine::fleet {

class FleetEngine {
 public:
  // `host` is where KV events are published, if the options want that.
  static Result<std::unique_ptr<FleetEngine>> create(const ServeOptions& options, const std::string& host,
                                                     std::uint64_t seed, const Clock& clock);

  SequenceId add(std::vector<Token> prompt, int output_tokens, std::shared_ptr<Listener> listener);
  void abort(SequenceId id) { core_->abort(id); }
  // Everything that can happen at this time.
  void run_due();
  std::optional<TimePoint> next_due() const { return core_->next_due(); }
  // What a scrape of its metrics would find.
  picker::EngineReport report() const;
  EngineLoad load() const { return core_->load(); }

  // Makes subscribers notice that there is a publisher: a batch that says that nothing is cached.
  void announce();
  std::uint64_t published() const { return events_ ? events_->batches : 0; }

 private:
  // Counts batches on their way to the publisher.
  struct CountedEvents final : CacheListener {
    std::unique_ptr<KvEvents> next;
    std::uint64_t batches = 0;
    bool any = false;
    void on_stored(const StoredBlocks& blocks) override;
    void on_removed(const BlockHash& block) override;
    void on_cleared() override;
    void on_step_end() override;
  };
  FleetEngine() = default;

  const Clock* clock_ = nullptr;
  EngineCoreConfig config_;
  sim::SimTokenizer tokenizer_;
  NullObserver observer_;
  metrics::Registry registry_;
  std::unique_ptr<CountedEvents> events_;  // null: none
  std::unique_ptr<sim::SimCore> core_;
  SequenceId last_id_ = 0;
};

}  // namespace llmd::engine::fleet
