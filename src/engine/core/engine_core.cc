#include "engine/core/engine_core.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "engine/core/random.h"

namespace llmd::engine {

struct EngineCore::Live {
  Sequence sequence;
  GenerationRequest request;  // its prompt has moved into the sequence
  std::shared_ptr<Listener> listener;
  TextStream text;
  Timeline times;
  std::vector<PositionLogprobs> prompt_logprobs;
};

std::string_view to_string(FinishReason reason) {
  switch (reason) {
    case FinishReason::Stop:
      return "stop";
    case FinishReason::Length:
      return "length";
    case FinishReason::Abort:
      return "abort";
    case FinishReason::Error:
      return "error";
  }
  return "error";
}

EngineCore::EngineCore(EngineCoreConfig config, Parts parts)
    : config_(std::move(config)),
      parts_(parts),
      blocks_(config_.blocks, config_.block_size, config_.prefix_caching, parts_.cache),
      scheduler_(config_.scheduler, blocks_, parts_.cache),
      budget_(config_.max_batched_tokens) {
  LLMD_ASSERT(config_.max_model_len > 0 && config_.max_model_len <= config_.blocks * config_.block_size,
              "one sequence of full length must fit, or it could wait for ever");
}

EngineCore::~EngineCore() = default;

void EngineCore::add(SequenceId id, GenerationRequest request, std::shared_ptr<Listener> listener) {
  auto live =
      std::make_unique<Live>(Live{.listener = std::move(listener),
                                  .text = {request.params.stop, request.params.include_stop_str_in_output}});
  live->times.arrival = request.arrival;
  live->times.queued = parts_.clock.now();
  Sequence& sequence = live->sequence;
  sequence.id = id;
  sequence.group = request.group;
  sequence.priority = request.priority;
  sequence.prompt_length = static_cast<int>(request.prompt.size());
  sequence.tokens = std::move(request.prompt);
  sequence.params = request.params;
  sequence.seed = request.params.seed.value_or(random_bits(config_.sampling_seed, id));
  if (sequence.params.constraint) {
    sequence.constraint_state = sequence.params.constraint->start();
  }
  std::string adapter_key;
  if (request.adapter) {
    sequence.adapter = request.adapter->weights.get();
    sequence.adapter_name = request.adapter->name;
    adapter_key = fmt::format("{}#{}", request.adapter->name, request.adapter->version);
  }
  sequence.cache_salt = request.cache_salt;
  sequence.root = root_hash(config_.hash_seed, adapter_key, request.cache_salt);
  live->request = std::move(request);
  const Result<void> added = scheduler_.add(sequence);
  if (!added) {
    live->listener->on_update({.finish = Finish{FinishReason::Error, {}, added.error()}});
    return;
  }
  live_.emplace(id, std::move(live));
}

void EngineCore::abort(SequenceId id) {
  const auto found = live_.find(id);
  if (found != live_.end()) {
    finish(*found->second, FinishReason::Abort, parts_.clock.now());
  }
}

void EngineCore::fail_all(const Error& error) {
  while (!live_.empty()) {
    Live& live = *live_.begin()->second;
    publish(live, {.finish = Finish{FinishReason::Error, {}, error}}, parts_.clock.now());
  }
}

bool EngineCore::step() {
  const TimePoint begin = parts_.clock.now();
  const bool delivered = deliver_due(begin);
  const bool computed = compute(begin);
  end_step();
  return delivered || computed;
}

bool EngineCore::reset_prefix_cache() {
  const bool done = blocks_.reset_cache();
  end_step();
  return done;
}

void EngineCore::end_step() {
  if (parts_.cache != nullptr) {
    parts_.cache->on_step_end();
  }
}

bool EngineCore::compute(TimePoint begin) {
  const auto decodes = static_cast<int>(std::ranges::count_if(
      scheduler_.running(), [](const Sequence* sequence) { return sequence->pending() == 1; }));
  const Plan plan = scheduler_.schedule(budget_.tokens(decodes));
  if (plan.chunks.empty()) {
    return false;
  }
  note_start(plan, begin);
  results_.assign(plan.chunks.size(), {});
  parts_.runner.run(plan.chunks, results_);
  const TimePoint end = parts_.clock.now();
  StepReport report{.tokens = plan.tokens, .preempted = plan.preempted, .duration = end - begin};
  for (const Chunk& chunk : plan.chunks) {
    report.prompt_tokens += chunk.sequence->in_prompt() ? chunk.tokens : 0;
  }
  budget_.learn(report.prompt_tokens, decodes, report.duration);
  scheduler_.complete(plan);
  take_results(plan, end);
  parts_.observer.on_step(report);
  return true;
}

void EngineCore::note_start(const Plan& plan, TimePoint now) {
  for (const Chunk& chunk : plan.chunks) {
    Live& live = *live_.at(chunk.sequence->id);
    if (live.times.scheduled == TimePoint{}) {
      live.times.scheduled = now;
      parts_.observer.on_admitted(live.sequence.prompt_length, live.sequence.cached_tokens);
    }
  }
}

void EngineCore::take_results(const Plan& plan, TimePoint now) {
  for (std::size_t i = 0; i < plan.chunks.size(); ++i) {
    const Chunk& chunk = plan.chunks[i];
    Live& live = *live_.at(chunk.sequence->id);
    ChunkResult& result = results_[i];
    // Scores that were there before a preemption come again.
    std::size_t position = static_cast<std::size_t>(live.sequence.computed - chunk.tokens);
    for (PositionLogprobs& scores : result.prompt_logprobs) {
      if (position++ == live.prompt_logprobs.size()) {
        live.prompt_logprobs.push_back(std::move(scores));
      }
    }
    if (!chunk.samples) {
      continue;
    }
    if (result.delay > Duration::zero()) {
      live.sequence.in_flight = true;
      due_.emplace(now + result.delay, Due{live.sequence.id, std::move(result)});
    } else {
      accept(live, std::move(result), now);
    }
  }
}

bool EngineCore::deliver_due(TimePoint now) {
  bool any = false;
  while (!due_.empty() && due_.begin()->first <= now) {
    auto node = due_.extract(due_.begin());
    const auto found = live_.find(node.mapped().id);
    if (found != live_.end()) {  // else it was aborted meanwhile
      found->second->sequence.in_flight = false;
      accept(*found->second, std::move(node.mapped().result), now);
    }
    any = true;
  }
  return any;
}

std::optional<TimePoint> EngineCore::next_due() const {
  return due_.empty() ? std::nullopt : std::optional(due_.begin()->first);
}

void EngineCore::accept(Live& live, ChunkResult result, TimePoint now) {
  Update update{.cached_tokens = std::max(0, live.sequence.cached_tokens)};
  const bool first = live.times.first_token == TimePoint{};
  if (first) {
    update.prompt_logprobs = std::move(live.prompt_logprobs);
  }
  if (live.sequence.params.max_tokens == 0) {
    live.times.first_token = live.times.last_token = now;
    update.finish = Finish{FinishReason::Length, {}, {}};
    publish(live, std::move(update), now);
    return;
  }
  parts_.observer.on_token(first, now - (first ? live.times.arrival : live.times.last_token));
  live.times.first_token = first ? now : live.times.first_token;
  live.times.last_token = now;
  scheduler_.append(live.sequence, result.token);
  if (TokenConstraint* const constraint = live.sequence.params.constraint.get(); constraint != nullptr) {
    live.sequence.constraint_state = constraint->advance(live.sequence.constraint_state, result.token);
  }
  update.tokens.push_back(result.token);
  if (result.logprobs) {
    update.logprobs.push_back(std::move(*result.logprobs));
  }
  update.finish = check_end(live, result.token, result.last);
  update.text = update.finish ? live.text.finish() : live.text.take();
  publish(live, std::move(update), now);
}

// The order decides which reason is given: end tokens, stop strings, a constraint that leaves nothing to say,
// length.
std::optional<Finish> EngineCore::check_end(Live& live, Token token, bool last) {
  const Sequence& sequence = live.sequence;
  const SamplingParams& params = sequence.params;
  const auto contains = [token](const std::vector<Token>& tokens) {
    return std::ranges::find(tokens, token) != tokens.end();
  };
  const bool may_stop = sequence.output_length() > params.min_tokens;
  std::optional<Finish> end;
  if (may_stop && !params.ignore_eos && contains(parts_.tokenizer.end_tokens())) {
    end = Finish{FinishReason::Stop, {}, {}};
  } else if (may_stop && contains(params.stop_token_ids)) {
    end = Finish{FinishReason::Stop, token, {}};
  }
  if (end && !params.include_stop_str_in_output) {
    return end;  // the text of the token that ended it is not part of the answer
  }
  const auto stop = live.text.push(parts_.tokenizer.piece(token, params.skip_special_tokens), may_stop);
  if (end) {
    return end;
  }
  if (stop) {
    return Finish{FinishReason::Stop, params.stop[*stop], {}};
  }
  if (params.constraint && params.constraint->complete(sequence.constraint_state)) {
    return Finish{FinishReason::Stop, {}, {}};
  }
  if (sequence.output_length() >= params.max_tokens ||
      static_cast<int>(sequence.tokens.size()) >= config_.max_model_len) {
    return Finish{FinishReason::Length, {}, {}};
  }
  return last ? std::optional(Finish{FinishReason::Stop, {}, {}}) : std::nullopt;
}

void EngineCore::publish(Live& live, Update update, TimePoint now) {
  const auto reason = update.finish ? std::optional(update.finish->reason) : std::nullopt;
  live.listener->on_update(std::move(update));
  if (reason) {
    finish(live, *reason, now);
  }
}

void EngineCore::finish(Live& live, FinishReason reason, TimePoint now) {
  scheduler_.remove(live.sequence);
  parts_.observer.on_finished(live.sequence, live.request.choices, live.times, reason, now);
  live_.erase(live.sequence.id);
}

EngineLoad EngineCore::load() const {
  EngineLoad load{.running = static_cast<int>(scheduler_.running().size()),
                  .waiting = static_cast<int>(scheduler_.waiting().size()),
                  .cache_usage = blocks_.usage()};
  const auto collect = [](const std::vector<Sequence*>& sequences, std::vector<std::string>& names) {
    for (const Sequence* sequence : sequences) {
      if (!sequence->adapter_name.empty() &&
          std::ranges::find(names, sequence->adapter_name) == names.end()) {
        names.push_back(sequence->adapter_name);
      }
    }
  };
  collect(scheduler_.running(), load.running_adapters);
  collect(scheduler_.waiting(), load.waiting_adapters);
  return load;
}

}  // namespace llmd::engine
