// An Engine that lives on the HTTP server's own event loop: no thread, no weights, microseconds per token.
// Everything but the clockwork is SimCore's.
#pragma once

#include <memory>

#include "async/event.h"
#include "async/event_loop.h"
#include "engine/sim/sim_core.h"

namespace llmd::engine::sim {

// Everything is called on the loop's thread.
class SimulatedEngine final : public Engine {
 public:
  struct Parts {
    std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
    Observer& observer;
    CacheListener* cache = nullptr;
  };
  SimulatedEngine(async::EventLoop& loop, Options options, EngineCoreConfig core, std::size_t max_live,
                  Parts parts);
  ~SimulatedEngine() override;

  // Makes tokens until cancelled; nothing happens without it.
  Task<void> run();

  Result<SequenceId> submit(GenerationRequest request, std::shared_ptr<Listener> listener) override;
  void abort(SequenceId id) override;
  void reset_prefix_cache() override;
  EngineLoad load() const override { return core_.load(); }
  Result<void> health() const override { return {}; }
  Result<std::shared_ptr<const LoraAdapter>> load_adapter(const std::filesystem::path& folder) override;

 private:
  Task<void> yield();

  const std::size_t max_live_;
  const std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  Executor executor_;
  SimCore core_;
  SequenceId last_id_ = 0;
  std::shared_ptr<async::Event> work_;  // shared with what was posted to the loop
};

}  // namespace llmd::engine::sim
