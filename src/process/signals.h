// SIGINT, SIGTERM and SIGHUP as something a task can wait for.
#pragma once

#include <initializer_list>
#include <memory>

#include "async/event_loop.h"

namespace llmd::process {

class Signals {
 public:
  Signals(async::EventLoop& loop, std::initializer_list<int> numbers);
  ~Signals();
  Task<int> wait();  // the next signal's number

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::process
