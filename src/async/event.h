// Event: tasks wait until somebody on the same loop sets it. Stays set until reset().
#pragma once

#include <memory>

#include "async/deadline.h"
#include "async/event_loop.h"

namespace llmd::async {

class Event {
 public:
  explicit Event(Executor executor);
  ~Event();
  void set();  // wakes all waiters
  void reset();
  bool is_set() const;
  Task<void> wait();
  // true: set; false: the deadline passed first.
  Task<bool> wait_until(Deadline deadline);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace llmd::async
