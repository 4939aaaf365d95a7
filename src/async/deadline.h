// A point in time after which waiting is an error that names who was waited for. Deadlines travel by value.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>

#include "async/task.h"
#include "base/clock.h"

namespace llmd::async {

class Deadline {
 public:
  static Deadline after(Duration duration) { return Deadline(std::chrono::steady_clock::now() + duration); }
  static Deadline at(TimePoint time) { return Deadline(time); }
  static Deadline never() { return Deadline(TimePoint::max()); }

  TimePoint time() const { return time_; }
  bool is_never() const { return time_ == TimePoint::max(); }
  bool expired() const { return !is_never() && std::chrono::steady_clock::now() >= time_; }
  Deadline or_earlier(Deadline other) const { return Deadline(std::min(time_, other.time_)); }
  Deadline or_after(Duration duration) const { return or_earlier(after(duration)); }

 private:
  explicit Deadline(TimePoint time) : time_(time) {}
  TimePoint time_;
};

// Suspends; cancellable.
Task<void> sleep(Duration duration);
Task<void> sleep_until(TimePoint time);

// Runs `task`; if the deadline passes first, the task is cancelled, unwound and waited for, and the result is
// deadline_exceeded("<waited_for>: no answer within ..."). Costs two allocations and a timer: for control
// paths. Hot paths use net::Stream::set_deadline, which costs nothing per operation.
template <typename T>
Task<Result<T>> with_deadline(Deadline deadline, std::string_view waited_for, Task<Result<T>> task);

// Runs `work`; if `stop` completes first, work is cancelled, unwound and waited for, and the result is
// nullopt.
//   auto answer = co_await unless(exchange.client_gone(), generate());
template <typename T>
Task<std::optional<T>> unless(Task<void> stop, Task<T> work);

}  // namespace llmd::async

#include "async/with_deadline.h"
