#include "async/event.h"

#include "async/waiter.h"

namespace llmd::async {

struct Event::State {
  explicit State(Executor executor) : waiting(executor) {}
  bool set = false;
  WaitList waiting;
};

Event::Event(Executor executor) : state_(std::make_shared<State>(executor)) {}
Event::~Event() = default;

void Event::set() {
  state_->set = true;
  state_->waiting.resume_all();
}

void Event::reset() {
  state_->set = false;
}

bool Event::is_set() const {
  return state_->set;
}

Task<void> Event::wait() {
  const auto state = state_;  // an Event may be destroyed while a cancelled task has not unwound yet
  if (!state->set) {
    co_await state->waiting.wait();
    co_await unwind_if_cancelled();
  }
}

Task<bool> Event::wait_until(Deadline deadline) {
  if (state_->set) {
    co_return true;
  }
  // Whether we were woken, not whether it is set now: another waiter that was woken, too, may have reset it.
  co_return co_await finishes_by(deadline, wait());
}

}  // namespace llmd::async
