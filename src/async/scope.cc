#include "async/scope.h"

#include <fmt/format.h>

#include <exception>

#include "async/waiter.h"
#include "base/assert.h"
#include "base/log.h"

namespace llmd::async {
namespace {

struct Running {
  std::string_view name;
  asio::cancellation_signal signal;
};

// Cancellation is the one exception a task may end with.
void check_end(std::string_view name, const std::exception_ptr& failure) {
  if (!failure) {
    return;
  }
  std::string reason = "unknown exception";
  try {
    std::rethrow_exception(failure);
  } catch (const boost::system::system_error& error) {
    if (error.code() == asio::error::operation_aborted) {
      return;
    }
    reason = error.what();
  } catch (const std::exception& error) {
    reason = error.what();
  } catch (...) {
  }
  log::error("task ended by an exception", {{"task", name}, {"exception", reason}});
  assertion_failed("tasks report errors as values", fmt::format("task '{}' threw: {}", name, reason));
}

}  // namespace

struct Scope::State {
  explicit State(Executor used) : executor(used), idle(used) {}

  Executor executor;
  std::list<std::shared_ptr<Running>> tasks;
  bool closed = false;
  WaitList idle;
};

Scope::Scope(EventLoop& loop) : Scope(loop.executor()) {}
Scope::Scope(Executor executor) : state_(std::make_shared<State>(executor)) {}

Scope::~Scope() {
  LLMD_ASSERT(state_->tasks.empty(),
              "a scope must be closed before it is destroyed; inside tasks use with_scope()");
}

void Scope::spawn(std::string_view name, Task<void> task) {
  if (state_->closed) {
    return;
  }
  auto running = std::make_shared<Running>();
  running->name = name;
  const auto position = state_->tasks.insert(state_->tasks.end(), running);
  auto at_end = [state = state_, running, position](std::exception_ptr failure) {
    check_end(running->name, failure);
    state->tasks.erase(position);
    if (state->tasks.empty()) {
      state->idle.resume_all();
    }
  };
  asio::co_spawn(state_->executor, std::move(task),
                 asio::bind_cancellation_slot(running->signal.slot(), std::move(at_end)));
}

void Scope::cancel() {
  // A copy: a cancelled task may end, and so leave the list, at once.
  const auto tasks = state_->tasks;
  for (const auto& task : tasks) {
    task->signal.emit(asio::cancellation_type::terminal);
  }
}

Task<void> Scope::join() {
  const auto state = state_;
  while (!state->tasks.empty()) {
    co_await state->idle.wait();
  }
}

Task<void> Scope::close() {
  const auto state = state_;
  state->closed = true;
  cancel();
  while (!state->tasks.empty()) {
    co_await state->idle.wait_uncancelled();
  }
}

std::size_t Scope::size() const {
  return state_->tasks.size();
}

Task<void> with_scope(Executor executor, std::function<Task<void>(Scope&)> body) {
  Scope scope(executor);
  std::exception_ptr failure;
  try {
    co_await body(scope);
  } catch (...) {
    failure = std::current_exception();
  }
  // From here to the end nothing may be skipped: the tasks of the scope refer to what the body owns.
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await scope.close();
  co_await asio::this_coro::throw_if_cancelled(throws);
  if (failure) {
    std::rethrow_exception(failure);
  }
}

}  // namespace llmd::async
