// The real engine: a model, its cache, and one thread that does nothing but `schedule, forward, sample,
// publish`.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <variant>
#include <vector>

#include "engine/core/engine_core.h"
#include "engine/core/generation.h"

namespace llmd::engine {

class ThreadedEngine final : public Engine {
 public:
  struct Options {
    EngineCoreConfig core;
    std::size_t max_live = 1032;  // running and waiting together; more are refused
    // A step that takes longer has hung: health() says so.
    Duration step_limit = std::chrono::minutes(10);
    // Called once, on the engine's thread, when it dies.
    std::function<void(const Error&)> on_death;
  };
  struct Parts {
    std::unique_ptr<Model> model;
    std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
    Observer& observer;              // outlives the engine
    CacheListener* cache = nullptr;  // the same
  };
  ThreadedEngine(Options options, Parts parts);
  // Aborts what still runs, after the step in progress.
  ~ThreadedEngine() override;

  Result<SequenceId> submit(GenerationRequest request, std::shared_ptr<Listener> listener) override;
  void abort(SequenceId id) override;
  void reset_prefix_cache() override;
  EngineLoad load() const override;
  Result<void> health() const override;
  Result<std::shared_ptr<const LoraAdapter>> load_adapter(const std::filesystem::path& folder) override;

 private:
  struct Add {
    SequenceId id;
    GenerationRequest request;
    std::shared_ptr<Listener> listener;
  };
  struct Abort {
    SequenceId id;
  };
  struct ResetCache {};
  using Command = std::variant<Add, Abort, ResetCache>;

  void run();
  bool take_commands(bool may_wait, std::vector<Command>& commands);
  void apply(std::vector<Command>& commands);
  void command(Command command);
  void publish_load();
  void die(std::string_view reason);

  const Options options_;
  const Parts parts_;
  const std::unique_ptr<Runner> runner_;
  EngineCore core_;  // touched by thread_ only

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Command> commands_;
  SequenceId last_id_ = 0;
  std::size_t queued_adds_ = 0;
  std::size_t live_ = 0;
  bool stopping_ = false;
  EngineLoad load_;
  std::optional<Error> death_;
  TimePoint step_begin_ = {};  // zero between steps
  std::thread thread_;
};

}  // namespace llmd::engine
