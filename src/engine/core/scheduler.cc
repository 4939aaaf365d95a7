#include "engine/core/scheduler.h"

#include <algorithm>

#include "base/assert.h"

namespace llmd::engine {
namespace {

void extend_chain(Sequence& sequence, int block_size) {
  const auto size = static_cast<std::size_t>(block_size);
  while ((sequence.chain.size() + 1) * size <= sequence.tokens.size()) {
    const BlockHash parent = sequence.chain.empty() ? sequence.root : sequence.chain.back();
    const auto block = std::span<const Token>(sequence.tokens).subspan(sequence.chain.size() * size, size);
    sequence.chain.push_back(next_hash(parent, block));
  }
}

}  // namespace

Result<void> Scheduler::add(Sequence& sequence) {
  if (blocks_.blocks_for(sequence.prompt_length + 1) > blocks_.total_blocks()) {
    return invalid_argument("the prompt has {} tokens, the KV cache has room for {}", sequence.prompt_length,
                            blocks_.total_blocks() * blocks_.block_size());
  }
  extend_chain(sequence, blocks_.block_size());
  enqueue(sequence);
  return {};
}

void Scheduler::remove(Sequence& sequence) {
  std::erase(sequence.running ? running_ : waiting_, &sequence);
  sequence.running = false;
  blocks_.release(sequence.blocks);
}

Plan Scheduler::schedule(int budget) {
  Plan plan;
  schedule_running(plan, budget, false);
  schedule_running(plan, budget, true);
  if (plan.preempted == 0 && !plan.starved) {
    admit(plan, budget);
  }
  return plan;
}

void Scheduler::complete(const Plan& plan) {
  const int size = blocks_.block_size();
  for (const Chunk& chunk : plan.chunks) {
    Sequence& sequence = *chunk.sequence;
    const int first = sequence.computed / size;
    sequence.computed += chunk.tokens;
    sequence.planned = 0;
    remember(sequence, first, sequence.computed / size);
  }
}

// Reports runs of neighbours together. A block whose parent cannot be found is no use to anybody: where the
// copy of the parent that was known is gone, the sequence's own takes its place.
void Scheduler::remember(const Sequence& sequence, int first, int end) {
  const auto size = static_cast<std::size_t>(blocks_.block_size());
  const auto last = static_cast<std::size_t>(end);
  std::size_t run = static_cast<std::size_t>(first);
  while (run > 0 && run < last && !blocks_.is_known(sequence.chain[run - 1])) {
    --run;
  }
  for (std::size_t block = run; block < last; ++block) {
    const auto content = std::span<const Token>(sequence.tokens).subspan(block * size, size);
    if (!blocks_.remember(sequence.blocks[block], sequence.chain[block], content)) {
      report_stored(sequence, run, block);
      run = block + 1;
    }
  }
  report_stored(sequence, run, last);
}

void Scheduler::report_stored(const Sequence& sequence, std::size_t first, std::size_t end) {
  if (listener_ == nullptr || first >= end) {
    return;
  }
  const auto size = static_cast<std::size_t>(blocks_.block_size());
  listener_->on_stored({.parent = first == 0 ? nullptr : &sequence.chain[first - 1],
                        .hashes = std::span(sequence.chain).subspan(first, end - first),
                        .tokens = std::span(sequence.tokens).subspan(first * size, (end - first) * size),
                        .adapter = sequence.adapter_name,
                        .salt = sequence.cache_salt});
}

void Scheduler::append(Sequence& sequence, Token token) {
  sequence.tokens.push_back(token);
  extend_chain(sequence, blocks_.block_size());
}

bool Scheduler::before(const Sequence& a, const Sequence& b) const {
  if (config_.policy == Policy::Priority && a.priority != b.priority) {
    return a.priority < b.priority;
  }
  return a.id < b.id;
}

void Scheduler::enqueue(Sequence& sequence) {
  const auto place = std::ranges::upper_bound(
      waiting_, &sequence, [this](const Sequence* a, const Sequence* b) { return before(*a, *b); });
  waiting_.insert(place, &sequence);
}

int Scheduler::chunk_size(const Sequence& sequence, int budget) const {
  int n = sequence.pending();
  if (sequence.params.prompt_logprobs && sequence.in_prompt()) {
    n = std::min(n, config_.prompt_logit_rows);
  }
  if (!config_.chunked_prefill) {
    return n;
  }
  if (config_.long_prefill_threshold > 0) {
    n = std::min(n, config_.long_prefill_threshold);
  }
  return std::min(n, budget);
}

void Scheduler::schedule_running(Plan& plan, int& budget, bool prompts) {
  const std::vector<Sequence*> order = running_;  // preemption changes running_
  for (Sequence* sequence : order) {
    const bool wants = sequence->running && !sequence->in_flight && sequence->planned == 0;
    if (!wants || (sequence->pending() > 1) != prompts) {
      continue;
    }
    // A generated token always fits: the budget bounds prompts, max_running bounds these.
    const int n = prompts ? chunk_size(*sequence, budget) : 1;
    if (n <= 0) {
      return;
    }
    if (make_room(*sequence, n, plan)) {
      plan_chunk(*sequence, n, plan, budget);
    } else {
      plan.starved = true;
    }
  }
}

void Scheduler::plan_chunk(Sequence& sequence, int tokens, Plan& plan, int& budget) {
  sequence.planned = tokens;
  plan.chunks.push_back({&sequence, tokens, tokens == sequence.pending()});
  plan.tokens += tokens;
  budget -= tokens;
}

bool Scheduler::make_room(Sequence& sequence, int n, Plan& plan) {
  while (!blocks_.grow(sequence.blocks, sequence.computed + n)) {
    Sequence* victim = last_behind(sequence);
    if (victim == nullptr) {
      return false;
    }
    preempt(*victim, plan);
  }
  return true;
}

Sequence* Scheduler::last_behind(const Sequence& sequence) const {
  Sequence* last = nullptr;
  for (Sequence* candidate : running_) {
    const bool is_free = !candidate->in_flight && candidate->planned == 0;
    if (is_free && before(sequence, *candidate) && (last == nullptr || before(*last, *candidate))) {
      last = candidate;
    }
  }
  return last;
}

void Scheduler::start(Sequence& sequence) {
  std::erase(waiting_, &sequence);
  sequence.running = true;
  const auto place = std::ranges::upper_bound(
      running_, &sequence, [this](const Sequence* a, const Sequence* b) { return before(*a, *b); });
  running_.insert(place, &sequence);
}

void Scheduler::preempt(Sequence& victim, Plan& plan) {
  std::erase(running_, &victim);
  victim.running = false;
  blocks_.release(victim.blocks);
  victim.computed = 0;
  enqueue(victim);
  ++plan.preempted;
}

void Scheduler::admit(Plan& plan, int& budget) {
  for (std::size_t i = 0; i < waiting_.size();) {
    if (static_cast<int>(running_.size()) >= config_.max_running || budget <= 0) {
      return;
    }
    switch (try_admit(*waiting_[i], plan, budget)) {
      case Admission::Started:
        break;  // left the queue: the next one stands at the same place
      case Admission::Skipped:
        ++i;
        break;
      case Admission::NoRoom:
        return;  // those behind it do not overtake: it would starve
    }
  }
}

Scheduler::Admission Scheduler::try_admit(Sequence& sequence, Plan& plan, int& budget) {
  if (waits_for_sibling(sequence) || !adapter_fits(sequence)) {
    return Admission::Skipped;
  }
  // At least the last token is computed, because its logits are wanted; with prompt log-probabilities all
  // are.
  const auto usable = sequence.params.prompt_logprobs
                          ? 0
                          : static_cast<std::size_t>((sequence.tokens.size() - 1) /
                                                     static_cast<std::size_t>(blocks_.block_size()));
  const auto chain =
      std::span<const BlockHash>(sequence.chain).first(std::min(usable, sequence.chain.size()));
  const BlockManager::Hit hit = blocks_.find_prefix(chain, sequence.tokens);
  // Room for the whole rest, not only for this chunk: a half-computed prompt that waits for blocks helps
  // nobody.
  const int rest = blocks_.blocks_for(static_cast<int>(sequence.tokens.size())) - hit.blocks;
  if (rest + hit.free_needed > blocks_.free_blocks()) {
    return Admission::NoRoom;
  }
  blocks_.take_prefix(chain, hit.blocks, sequence.blocks);
  sequence.computed = hit.blocks * blocks_.block_size();
  const int n = chunk_size(sequence, budget);
  const bool has_room = blocks_.grow(sequence.blocks, static_cast<int>(sequence.tokens.size()));
  LLMD_ASSERT(has_room, "counted above");
  if (sequence.cached_tokens < 0) {
    sequence.cached_tokens = sequence.computed;
  }
  start(sequence);
  plan_chunk(sequence, n, plan, budget);
  return Admission::Started;
}

// The second choice of a request waits until the first has computed the prompt they share, and then finds it
// cached.
bool Scheduler::waits_for_sibling(const Sequence& sequence) const {
  return sequence.group != 0 && !sequence.params.prompt_logprobs &&
         std::ranges::any_of(running_, [&](const Sequence* other) {
           return other->group == sequence.group && other->in_prompt();
         });
}

bool Scheduler::adapter_fits(const Sequence& sequence) const {
  if (sequence.adapter_name.empty()) {
    return true;
  }
  std::vector<std::string_view> in_use;
  for (const Sequence* other : running_) {
    if (!other->adapter_name.empty() && std::ranges::find(in_use, other->adapter_name) == in_use.end()) {
      in_use.push_back(other->adapter_name);
    }
  }
  return static_cast<int>(in_use.size()) < config_.max_adapters ||
         std::ranges::find(in_use, sequence.adapter_name) != in_use.end();
}

}  // namespace llmd::engine
