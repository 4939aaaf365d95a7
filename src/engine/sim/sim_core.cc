#include "engine/sim/sim_core.h"

#include <algorithm>

#include "engine/core/random.h"
#include "engine/sim/sim_text.h"

namespace llmd::engine::sim {
namespace {

// Forgets the script with the sequence's last update.
class ScriptKeeper final : public Listener {
 public:
  ScriptKeeper(SimRunner& runner, SequenceId id, std::shared_ptr<Listener> next)
      : runner_(runner), id_(id), next_(std::move(next)) {}
  ~ScriptKeeper() override { runner_.drop_script(id_); }
  void on_update(Update update) override { next_->on_update(std::move(update)); }

 private:
  SimRunner& runner_;
  const SequenceId id_;
  const std::shared_ptr<Listener> next_;
};

}  // namespace

SimCore::SimCore(Options options, EngineCoreConfig core, Parts parts)
    : options_(std::move(options)),
      parts_(parts),
      runner_(options_.timing, core.scheduler.max_running, parts_.clock),
      core_(std::move(core), {runner_, parts_.tokenizer, parts_.observer, parts_.clock, parts_.cache}) {}

SimCore::~SimCore() = default;

void SimCore::add(SequenceId id, GenerationRequest request, std::shared_ptr<Listener> listener) {
  const std::uint64_t seed = request.params.seed.value_or(random_bits(options_.seed, id));
  runner_.add_script(id, script(request, options_.mode, seed, parts_.tokenizer));
  request.params.logit_bias.clear();  // nothing here looks at logits
  auto keeper = std::make_shared<ScriptKeeper>(runner_, id, std::move(listener));
  if (options_.timing.one_prefill_at_a_time) {
    arrived_.push_back({id, std::move(request), std::move(keeper)});
  } else {
    core_.add(id, std::move(request), std::move(keeper));
  }
}

void SimCore::abort(SequenceId id) {
  const auto found = std::ranges::find(arrived_, id, &Arrived::id);
  if (found != arrived_.end()) {  // the core counts how it ended
    core_.add(id, std::move(found->request), std::move(found->listener));
    arrived_.erase(found);
  }
  core_.abort(id);
}

bool SimCore::step() {
  const bool handed_over = hand_over_next();
  runner_.set_running(core_.load().running);
  return core_.step() || handed_over;
}

bool SimCore::hand_over_next() {
  if (arrived_.empty() || runner_.prefilled() > parts_.clock.now() || core_.load().waiting > 0) {
    return false;
  }
  Arrived next = std::move(arrived_.front());
  arrived_.pop_front();
  core_.add(next.id, std::move(next.request), std::move(next.listener));
  return true;
}

std::optional<TimePoint> SimCore::next_due() const {
  const auto due = core_.next_due();
  if (arrived_.empty() || runner_.prefilled() <= parts_.clock.now()) {
    return due;
  }
  return due ? std::min(*due, runner_.prefilled()) : runner_.prefilled();
}

EngineLoad SimCore::load() const {
  EngineLoad load = core_.load();
  load.waiting += static_cast<int>(arrived_.size());
  for (const Arrived& each : arrived_) {
    if (each.request.adapter &&
        std::ranges::find(load.waiting_adapters, each.request.adapter->name) == load.waiting_adapters.end()) {
      load.waiting_adapters.push_back(each.request.adapter->name);
    }
  }
  return load;
}

}  // namespace llmd::engine::sim
