#include "engine/sim/simulated_engine.h"

#include "base/log.h"
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

struct SimulatedAdapter final : LoraAdapter {
  int rank() const override { return 8; }
};

}  // namespace

SimulatedEngine::SimulatedEngine(async::EventLoop& loop, Options options, EngineCoreConfig core,
                                 std::size_t max_live, Parts parts)
    : options_(std::move(options)),
      max_live_(max_live),
      parts_(std::move(parts)),
      max_running_(core.scheduler.max_running),
      executor_(loop.executor()),
      runner_(options_.timing, max_running_),
      core_(std::move(core), {runner_, *parts_.tokenizer, parts_.observer, system_clock(), parts_.cache}),
      work_(std::make_shared<async::Event>(executor_)) {}

SimulatedEngine::~SimulatedEngine() = default;

Task<void> SimulatedEngine::run() {
  while (true) {
    work_->reset();
    runner_.set_running(core_.load().running);
    if (core_.step()) {
      co_await yield();
    } else if (const auto due = core_.next_due()) {
      co_await work_->wait_until(async::Deadline::at(*due));
    } else {
      co_await work_->wait();
    }
  }
}

// Lets everybody else on the loop write what the step has made: one token per write, as from a real engine.
Task<void> SimulatedEngine::yield() {
  async::post_to(executor_, [work = work_] { work->set(); });
  co_await work_->wait();
}

Result<SequenceId> SimulatedEngine::submit(GenerationRequest request, std::shared_ptr<Listener> listener) {
  if (core_.live() >= max_live_) {
    return resource_exhausted("too many requests are waiting ({} in the engine)", core_.live());
  }
  const SequenceId id = ++last_id_;
  const std::uint64_t seed = request.params.seed.value_or(random_bits(options_.seed, id));
  runner_.add_script(id, script(request, options_.mode, seed, *parts_.tokenizer));
  request.params.logit_bias.clear();  // nothing here looks at logits
  core_.add(id, std::move(request), std::make_shared<ScriptKeeper>(runner_, id, std::move(listener)));
  work_->set();
  return id;
}

void SimulatedEngine::abort(SequenceId id) {
  core_.abort(id);
  work_->set();
}

void SimulatedEngine::reset_prefix_cache() {
  if (!core_.reset_prefix_cache()) {
    log::warning("the prefix cache stays: sequences are running");
  }
}

Result<std::shared_ptr<const LoraAdapter>> SimulatedEngine::load_adapter(const std::filesystem::path&) {
  return std::make_shared<SimulatedAdapter>();
}

}  // namespace llmd::engine::sim
