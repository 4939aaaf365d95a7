// A simulated engine without a clockwork of its own: scheduler, KV cache bookkeeping, updates and metrics are
// the real engine's; tokens come from a script after the time a model would have taken by the given clock.
// SimulatedEngine drives it by an event loop, engine/fleet by virtual time.
//
// Where prompts wait for each other, the next one is admitted when the one before has been read: until then
// it waits, holds no blocks, and is counted as waiting, as in an engine whose step computes a limited number
// of tokens.
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "engine/core/engine_core.h"
#include "engine/sim/options.h"
#include "engine/sim/sim_runner.h"

namespace llmd::engine::sim {

// One thread. Parts outlive it.
class SimCore {
 public:
  struct Parts {
    const tokenizer::Tokenizer& tokenizer;
    Observer& observer;
    const Clock& clock;
    CacheListener* cache = nullptr;
  };
  SimCore(Options options, EngineCoreConfig core, Parts parts);
  ~SimCore();

  void add(SequenceId id, GenerationRequest request, std::shared_ptr<Listener> listener);
  void abort(SequenceId id);
  // Delivers what is due and begins what can begin. False when nothing happened: then wait for next_due().
  bool step();
  std::optional<TimePoint> next_due() const;

  std::size_t live() const { return core_.live() + arrived_.size(); }
  EngineLoad load() const;
  bool reset_prefix_cache() { return core_.reset_prefix_cache(); }

 private:
  struct Arrived {
    SequenceId id = 0;
    GenerationRequest request;
    std::shared_ptr<Listener> listener;
  };
  bool hand_over_next();

  const Options options_;
  const Parts parts_;
  SimRunner runner_;
  EngineCore core_;
  std::deque<Arrived> arrived_;  // not known to the scheduler yet
};

}  // namespace llmd::engine::sim
