// One thread's event loop. Sockets, timers and tasks made on a loop stay on it; nothing in here needs a lock.
#pragma once

#include <functional>
#include <memory>

#include "async/task.h"

namespace llmd::async {

class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;

  // Runs on the calling thread until stop(). One thread per loop.
  void run();
  // Any thread.
  void stop();
  // Any thread: runs `function` on the loop, soon.
  void post(std::function<void()> function);

  // For main() and tests: runs the loop on the calling thread until the task is done and returns its result.
  template <typename T>
  T block_on(Task<T> task);

  Executor executor();
  boost::asio::io_context& context() { return context_; }

 private:
  void run_until_done(Task<void> task);

  boost::asio::io_context context_;
};

// The loop the calling task runs on.
Task<Executor> current_executor();

// EventLoop::post for code that holds only an executor. Any thread.
void post_to(Executor executor, std::function<void()> function);

}  // namespace llmd::async

#include "async/event_loop_block_on.h"
