// Worker: a thread of its own for calls that block (SQLite, disk, pip). Jobs run in order, one at a time; the
// caller's task waits without blocking its loop. Destroying the worker finishes the running job and drops the
// queued ones. The loops whose tasks use a worker must outlive it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <type_traits>

#include "async/event_loop.h"

namespace llmd::async {

class Worker {
 public:
  explicit Worker(std::string name, std::size_t max_queued = 10000);
  ~Worker();

  // Runs `function` (returning Result<T>) on the worker's thread. Cancelling the waiting task does not
  // interrupt the function; its result is then dropped. A full queue is resource_exhausted.
  template <typename Function>
  auto run(Function function) -> Task<std::invoke_result_t<Function>>;

  // Any thread: queues a job without waiting for it. False when the queue is full.
  bool post(std::function<void()> job);
  const std::string& name() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::async

#include "async/worker_run.h"
