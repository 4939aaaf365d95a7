#include "engine/fleet/fleet_engine.h"

#include "engine/server/simulation.h"

namespace llmd::engine::fleet {

void FleetEngine::CountedEvents::on_stored(const StoredBlocks& blocks) {
  any = true;
  next->on_stored(blocks);
}

void FleetEngine::CountedEvents::on_removed(const BlockHash& block) {
  any = true;
  next->on_removed(block);
}

void FleetEngine::CountedEvents::on_cleared() {
  any = true;
  next->on_cleared();
}

void FleetEngine::CountedEvents::on_step_end() {
  batches += any ? 1 : 0;
  any = false;
  next->on_step_end();
}

Result<std::unique_ptr<FleetEngine>> FleetEngine::create(const ServeOptions& options, const std::string& host,
                                                         std::uint64_t seed, const Clock& clock) {
  std::unique_ptr<FleetEngine> engine(new FleetEngine());
  engine->clock_ = &clock;
  engine->config_ = simulated_core(options);
  engine->config_.hash_seed = 0;  // names of blocks, the same in every run
  engine->config_.sampling_seed = seed;
  if (options.kv_events.enabled) {
    engine->events_ = std::make_unique<CountedEvents>();
    LLMD_TRY(engine->events_->next, KvEvents::open(options.kv_events,
                                                   {.host = host,
                                                    .host_was_asked_for = true,
                                                    .pod = fmt::format("{}:{}", host, options.http.port),
                                                    .model = options.model.model},
                                                   engine->registry_));
  }
  sim::Options simulation = options.simulation;
  simulation.seed = seed;
  engine->core_ = std::make_unique<sim::SimCore>(
      simulation, engine->config_,
      sim::SimCore::Parts{engine->tokenizer_, engine->observer_, clock, engine->events_.get()});
  return engine;
}

SequenceId FleetEngine::add(std::vector<Token> prompt, int output_tokens,
                            std::shared_ptr<Listener> listener) {
  GenerationRequest request;
  request.prompt = std::move(prompt);
  request.params.max_tokens = output_tokens;
  request.params.ignore_eos = true;
  request.arrival = clock_->now();
  core_->add(++last_id_, std::move(request), std::move(listener));
  return last_id_;
}

void FleetEngine::run_due() {
  while (core_->step()) {
  }
}

picker::EngineReport FleetEngine::report() const {
  const EngineLoad load = core_->load();
  return {.waiting = static_cast<float>(load.waiting),
          .running = static_cast<float>(load.running),
          .kv_usage = static_cast<float>(load.cache_usage),
          .block_tokens = static_cast<float>(config_.block_size),
          .blocks = static_cast<float>(config_.blocks)};
}

void FleetEngine::announce() {
  if (events_) {
    events_->on_cleared();
    events_->on_step_end();
  }
}

}  // namespace llmd::engine::fleet
