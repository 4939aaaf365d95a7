#include "engine/core/threaded_engine.h"

#include <pthread.h>

#include <exception>

#include "base/log.h"
#include "engine/core/model_runner.h"

namespace llmd::engine {

ThreadedEngine::ThreadedEngine(Options options, Parts parts)
    : options_(std::move(options)),
      parts_(std::move(parts)),
      runner_(std::make_unique<ModelRunner>(
          *parts_.model, parts_.model->make_kv_cache(options_.core.blocks, options_.core.block_size),
          parts_.tokenizer->end_tokens())),
      core_(options_.core, {*runner_, *parts_.tokenizer, parts_.observer, system_clock(), parts_.cache}),
      thread_([this] { run(); }) {}

ThreadedEngine::~ThreadedEngine() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

Result<SequenceId> ThreadedEngine::submit(GenerationRequest request, std::shared_ptr<Listener> listener) {
  SequenceId id = 0;
  {
    const std::lock_guard lock(mutex_);
    if (death_ || stopping_) {
      return unavailable("the engine has stopped{}", death_ ? ": " + death_->message : "");
    }
    if (live_ + queued_adds_ >= options_.max_live) {
      return resource_exhausted("too many requests are waiting ({} in the engine)", live_ + queued_adds_);
    }
    id = ++last_id_;
    ++queued_adds_;
    commands_.emplace_back(Add{id, std::move(request), std::move(listener)});
  }
  wake_.notify_one();
  return id;
}

void ThreadedEngine::abort(SequenceId id) {
  command(Abort{id});
}

void ThreadedEngine::reset_prefix_cache() {
  command(ResetCache{});
}

void ThreadedEngine::command(Command command) {
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back(std::move(command));
  }
  wake_.notify_one();
}

EngineLoad ThreadedEngine::load() const {
  const std::lock_guard lock(mutex_);
  EngineLoad load = load_;
  load.waiting += static_cast<int>(queued_adds_);
  return load;
}

Result<void> ThreadedEngine::health() const {
  const std::lock_guard lock(mutex_);
  if (death_) {
    return std::unexpected(*death_);
  }
  if (step_begin_ != TimePoint{} && system_clock().now() - step_begin_ > options_.step_limit) {
    return unavailable("the engine has been in one step for more than {} s",
                       std::chrono::duration_cast<std::chrono::seconds>(options_.step_limit).count());
  }
  return {};
}

Result<std::shared_ptr<const LoraAdapter>> ThreadedEngine::load_adapter(const std::filesystem::path& folder) {
  LLMD_TRY(std::unique_ptr<LoraAdapter> adapter, parts_.model->load_adapter(folder));
  return std::shared_ptr<const LoraAdapter>(std::move(adapter));
}

void ThreadedEngine::run() {
  pthread_setname_np(pthread_self(), "engine");
  try {
    std::vector<Command> commands;
    bool worked = false;
    while (take_commands(!worked, commands)) {
      apply(commands);
      worked = core_.step();
      publish_load();
    }
    apply(commands);
    core_.fail_all(cancelled("the server is shutting down"));
  } catch (const std::exception& error) {
    die(error.what());
  } catch (...) {
    die("unknown exception");
  }
}

// False: stop.
bool ThreadedEngine::take_commands(bool may_wait, std::vector<Command>& commands) {
  std::unique_lock lock(mutex_);
  if (may_wait) {
    step_begin_ = {};
    wake_.wait(lock, [this] { return stopping_ || !commands_.empty(); });
  }
  commands.swap(commands_);
  live_ += std::exchange(queued_adds_, 0);
  step_begin_ = system_clock().now();
  return !stopping_;
}

void ThreadedEngine::apply(std::vector<Command>& commands) {
  for (Command& command : commands) {
    if (auto* add = std::get_if<Add>(&command)) {
      core_.add(add->id, std::move(add->request), std::move(add->listener));
    } else if (const auto* abort = std::get_if<Abort>(&command)) {
      core_.abort(abort->id);
    } else if (!core_.reset_prefix_cache()) {
      log::warning("the prefix cache stays: sequences are running");
    }
  }
  commands.clear();
}

void ThreadedEngine::publish_load() {
  EngineLoad load = core_.load();
  const std::lock_guard lock(mutex_);
  live_ = core_.live();
  load_ = std::move(load);
}

void ThreadedEngine::die(std::string_view reason) {
  const Error error = internal_error("the engine has died: {}", reason);
  log::error("engine died", {{"reason", reason}});
  std::vector<Command> commands;
  {
    const std::lock_guard lock(mutex_);
    death_ = Error{ErrorKind::Unavailable, error.message, {}};
    commands.swap(commands_);
    queued_adds_ = 0;
  }
  core_.fail_all(error);
  for (Command& command : commands) {
    if (auto* add = std::get_if<Add>(&command)) {
      add->listener->on_update({.finish = Finish{FinishReason::Error, {}, error}});
    }
  }
  if (options_.on_death) {
    options_.on_death(error);
  }
}

}  // namespace llmd::engine
