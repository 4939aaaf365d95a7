// The reconcile loop: keys in, de-duplicated, one flight per key, retried with back-off. A reconciler reads
// the state of the world, moves it one step towards the desired state, and says when it wants to look again.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "async/deadline.h"
#include "async/event_loop.h"
#include "async/scope.h"
#include "kube/object.h"

namespace llmd::kube {

struct Outcome {
  std::optional<Duration> again_after;  // empty: only when something changes
};

// An error is retried with back-off (20 ms doubling to 30 s) and logged; Conflict is retried at once without
// a log.
using Reconciler = std::function<Task<Result<Outcome>>(ObjectKey)>;

class Controller {
 public:
  // `name` appears in logs and metrics; `workers` keys are reconciled at the same time.
  Controller(async::EventLoop& loop, std::string name, Reconciler reconciler, int workers = 4);
  ~Controller();
  void enqueue(ObjectKey key);
  void enqueue_after(ObjectKey key, Duration delay);
  Task<void> run();  // until cancelled

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::kube
