// Structured concurrency: every task lives in a Scope, and a Scope ends by cancelling and waiting for its
// tasks.
//
//   Scope scope(loop);
//   scope.spawn("accept", accept_connections());
//   ...
//   co_await scope.close();     // cancels what still runs and returns when all of it has unwound
//
// A cancelled task cannot await close() any more; a scope inside a task that may be cancelled is made by
// with_scope().
//
// One loop; not thread-safe. Destroying a scope that still has tasks is a bug (asserts). A task that ends by
// an exception other than cancellation is a bug too and stops the process with the task's name.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>

#include "async/event_loop.h"

namespace llmd::async {

class Scope {
 public:
  explicit Scope(EventLoop& loop);
  explicit Scope(Executor executor);
  ~Scope();
  Scope(const Scope&) = delete;

  // `name` must outlive the task (a literal). Spawning on a closed scope destroys the task unstarted.
  void spawn(std::string_view name, Task<void> task);
  void cancel();       // asks every task to unwind; returns at once
  Task<void> join();   // waits until all tasks are done
  Task<void> close();  // no new tasks, cancel, join. Idempotent. Itself not cancellable.
  std::size_t size() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Runs body(scope) and closes the scope afterwards, also when the calling task is cancelled meanwhile. The
// safe way to own a scope inside a task:
//   co_await with_scope(executor, [&](Scope& scope) -> Task<void> { ... });
// The body object lives in this call's frame until the scope is closed.
Task<void> with_scope(Executor executor, std::function<Task<void>(Scope&)> body);

}  // namespace llmd::async
