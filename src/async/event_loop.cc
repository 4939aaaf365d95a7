#include "async/event_loop.h"

#include "async/asio.h"

namespace llmd::async {

// One thread per loop: the reactor's per-descriptor locks are switched off, the scheduler's stay for post().
EventLoop::EventLoop() : context_(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO) {}

EventLoop::~EventLoop() = default;

void EventLoop::run() {
  const auto keep_running = asio::make_work_guard(context_);
  context_.restart();
  context_.run();
}

void EventLoop::stop() {
  context_.stop();
}

void EventLoop::post(std::function<void()> function) {
  asio::post(context_, std::move(function));
}

Executor EventLoop::executor() {
  return context_.get_executor();
}

void EventLoop::run_until_done(Task<void> task) {
  const auto keep_running = asio::make_work_guard(context_);
  bool done = false;
  std::exception_ptr failure;
  asio::co_spawn(context_.get_executor(), std::move(task), [&](std::exception_ptr error) {
    done = true;
    failure = std::move(error);
  });
  context_.restart();
  while (!done && context_.run_one() > 0) {
  }
  if (failure) {
    std::rethrow_exception(failure);
  }
}

void post_to(Executor executor, std::function<void()> function) {
  asio::post(executor, std::move(function));
}

Task<Executor> current_executor() {
  co_return co_await asio::this_coro::executor;
}

}  // namespace llmd::async
