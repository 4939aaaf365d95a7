// Included by deadline.h.
#pragma once

#include "async/event_loop.h"

namespace llmd::async {

// True when the task ended by itself, false when the deadline passed first (the task has unwound by then).
Task<bool> finishes_by(Deadline deadline, Task<void> task);
// True when `work` ended first, false when `stop` did. Both have ended on return.
Task<bool> finishes_before(Task<void> stop, Task<void> work);
Error missed_deadline(std::string_view waited_for, TimePoint started);

template <typename T>
Task<Result<T>> with_deadline(Deadline deadline, std::string_view waited_for, Task<Result<T>> task) {
  const TimePoint started = std::chrono::steady_clock::now();
  std::optional<Result<T>> result;
  const bool finished = co_await finishes_by(deadline, store_result(std::move(task), result));
  if (!finished) {
    co_return missed_deadline(waited_for, started);
  }
  co_return std::move(*result);
}

template <typename T>
Task<std::optional<T>> unless(Task<void> stop, Task<T> work) {
  std::optional<T> result;
  co_await finishes_before(std::move(stop), store_result(std::move(work), result));
  co_return result;
}

}  // namespace llmd::async
