// Which tokens are computed in the next step. Every sequence has some tokens computed and wants the rest; a
// step advances some of them within a budget of tokens. There are no phases: a prompt, a chunk of it, one
// generated token and a recomputation after preemption are all "the next n tokens".
//
// Pure bookkeeping on the engine's thread. Sequences belong to the caller, who removes them before they die.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/core/block_manager.h"
#include "engine/core/sequence.h"

namespace llmd::engine {

enum class Policy { Fcfs, Priority };

struct SchedulerConfig {
  int max_running = 32;            // --max-num-seqs
  int long_prefill_threshold = 0;  // at most this many tokens of one prompt per step; 0: the budget
  int prompt_logit_rows = 32;      // the same for prompts whose log-probabilities are wanted
  bool chunked_prefill = true;     // false: a prompt is computed in one step, whatever the budget
  int max_adapters = 1;            // different LoRA adapters in one step (--max-loras)
  Policy policy = Policy::Fcfs;
};

struct Chunk {
  Sequence* sequence = nullptr;
  int tokens = 0;        // the next this-many tokens of it
  bool samples = false;  // they reach its end: a new token follows
};

struct Plan {
  std::vector<Chunk> chunks;
  int tokens = 0;
  int preempted = 0;
  bool starved = false;  // somebody running found no room: nobody new is admitted
};

class Scheduler {
 public:
  // `listener` hears of blocks that can be found from now on.
  Scheduler(SchedulerConfig config, BlockManager& blocks, CacheListener* listener = nullptr)
      : config_(config), blocks_(blocks), listener_(listener) {}

  // InvalidArgument when the prompt can never fit into the cache.
  Result<void> add(Sequence& sequence);
  // Takes the sequence out of whatever it is in and frees its blocks.
  void remove(Sequence& sequence);
  // Chooses the work of one step and reserves its blocks. Sequences with a generated token pending come
  // first, so that a long prompt never stalls the others; prompts share what is left of `budget` in order of
  // arrival or priority.
  Plan schedule(int budget);
  // The plan's tokens are computed: full blocks may be shared from now on.
  void complete(const Plan& plan);
  // Appends a generated token.
  void append(Sequence& sequence, Token token);

  const std::vector<Sequence*>& running() const { return running_; }
  const std::vector<Sequence*>& waiting() const { return waiting_; }  // in the order they will be served

 private:
  void remember(const Sequence& sequence, int first, int end);
  void report_stored(const Sequence& sequence, std::size_t first, std::size_t end);
  bool before(const Sequence& a, const Sequence& b) const;
  void enqueue(Sequence& sequence);
  void schedule_running(Plan& plan, int& budget, bool prompts);
  void admit(Plan& plan, int& budget);
  enum class Admission { Started, Skipped, NoRoom };
  Admission try_admit(Sequence& sequence, Plan& plan, int& budget);
  bool waits_for_sibling(const Sequence& sequence) const;
  bool adapter_fits(const Sequence& sequence) const;
  int chunk_size(const Sequence& sequence, int budget) const;
  void plan_chunk(Sequence& sequence, int tokens, Plan& plan, int& budget);
  // Makes room for the sequence's next n tokens, preempting others behind it; false when it must wait.
  // Whoever is first in order can always preempt all others, so somebody always advances.
  bool make_room(Sequence& sequence, int n, Plan& plan);
  Sequence* last_behind(const Sequence& sequence) const;
  void start(Sequence& sequence);
  void preempt(Sequence& victim, Plan& plan);

  const SchedulerConfig config_;
  BlockManager& blocks_;
  CacheListener* const listener_;  // or null
  std::vector<Sequence*> running_;
  std::vector<Sequence*> waiting_;
};

}  // namespace llmd::engine
