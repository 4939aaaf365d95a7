#include "engine/sim/simulated_engine.h"

#include "base/log.h"

namespace llmd::engine::sim {
namespace {

struct SimulatedAdapter final : LoraAdapter {
  int rank() const override { return 8; }
};

}  // namespace

SimulatedEngine::SimulatedEngine(async::EventLoop& loop, Options options, EngineCoreConfig core,
                                 std::size_t max_live, Parts parts)
    : max_live_(max_live),
      tokenizer_(std::move(parts.tokenizer)),
      executor_(loop.executor()),
      core_(std::move(options), std::move(core), {*tokenizer_, parts.observer, system_clock(), parts.cache}),
      work_(std::make_shared<async::Event>(executor_)) {}

SimulatedEngine::~SimulatedEngine() = default;

Task<void> SimulatedEngine::run() {
  while (true) {
    work_->reset();
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
  core_.add(id, std::move(request), std::move(listener));
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
