// One engine without its thread: sequences in, one step at a time, updates out. The caller brings the thread
// (or the event loop, in simulation) and calls everything from it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "engine/core/generation.h"
#include "engine/core/observer.h"
#include "engine/core/runner.h"
#include "engine/core/scheduler.h"
#include "engine/core/step_budget.h"
#include "engine/core/text_stream.h"
#include "tokenizer/tokenizer.h"

namespace llmd::engine {

struct EngineCoreConfig {
  SchedulerConfig scheduler;
  int blocks = 0;
  int block_size = 16;
  bool prefix_caching = true;
  int max_model_len = 0;            // prompt and output; at most blocks * block_size
  int max_batched_tokens = 0;       // per step; 0: chosen by time
  std::uint64_t hash_seed = 0;      // root of all block hashes
  std::uint64_t sampling_seed = 0;  // for requests without a seed of their own
};

class EngineCore {
 public:
  struct Parts {
    Runner& runner;
    const tokenizer::Tokenizer& tokenizer;
    Observer& observer;
    const Clock& clock;
    CacheListener* cache = nullptr;  // hears what the prefix cache holds
  };
  EngineCore(EngineCoreConfig config, Parts parts);
  ~EngineCore();

  // Failures are reported to the listener as a finished update.
  void add(SequenceId id, GenerationRequest request, std::shared_ptr<Listener> listener);
  void abort(SequenceId id);
  // Ends everything that lives, with this error.
  void fail_all(const Error& error);
  // Delivers what is due, computes one step. False when there was nothing to compute.
  bool step();
  // When the next simulated token is due; nothing in a real engine.
  std::optional<TimePoint> next_due() const;

  std::size_t live() const { return live_.size(); }
  EngineLoad load() const;
  const BlockManager& blocks() const { return blocks_; }
  // Forgets all content; refused (false) while a sequence holds blocks.
  bool reset_prefix_cache();

 private:
  struct Live;
  struct Due {
    SequenceId id;
    ChunkResult result;
  };
  bool compute(TimePoint begin);
  void end_step();
  void note_start(const Plan& plan, TimePoint now);
  void take_results(const Plan& plan, TimePoint now);
  bool deliver_due(TimePoint now);
  void accept(Live& live, ChunkResult result, TimePoint now);
  std::optional<Finish> check_end(Live& live, Token token, bool last);
  void publish(Live& live, Update update, TimePoint now);
  void finish(Live& live, FinishReason reason, TimePoint now);

  const EngineCoreConfig config_;
  Parts parts_;
  BlockManager blocks_;
  Scheduler scheduler_;
  StepBudget budget_;
  std::unordered_map<SequenceId, std::unique_ptr<Live>> live_;
  std::multimap<TimePoint, Due> due_;
  std::vector<ChunkResult> results_;
};

}  // namespace llmd::engine
