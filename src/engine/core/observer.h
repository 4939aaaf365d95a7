// Where an engine reports what it does; /metrics and the log are made from it. Called on the engine's thread.
#pragma once

#include "base/clock.h"
#include "engine/core/generation.h"

namespace llmd::engine {

struct StepReport {
  int tokens = 0;         // computed in this step
  int prompt_tokens = 0;  // of those, prompt tokens
  int preempted = 0;
  Duration duration = {};  // of the forward pass and sampling
};

// The life of a sequence. Times that were never reached are zero.
struct Timeline {
  TimePoint arrival = {};
  TimePoint queued = {};     // accepted by the engine
  TimePoint scheduled = {};  // first step
  TimePoint first_token = {};
  TimePoint last_token = {};
};

class Observer {
 public:
  virtual ~Observer() = default;
  virtual void on_step(const StepReport& report) = 0;
  virtual void on_admitted(int prompt_tokens, int cached_tokens) = 0;
  // `gap`: since the arrival for the first token, since the previous token for the others.
  virtual void on_token(bool first, Duration gap) = 0;
  virtual void on_finished(const Sequence& sequence, int choices, const Timeline& times, FinishReason reason,
                           TimePoint now) = 0;
};

// Ignores everything.
class NullObserver final : public Observer {
 public:
  void on_step(const StepReport&) override {}
  void on_admitted(int, int) override {}
  void on_token(bool, Duration) override {}
  void on_finished(const Sequence&, int, const Timeline&, FinishReason, TimePoint) override {}
};

}  // namespace llmd::engine
