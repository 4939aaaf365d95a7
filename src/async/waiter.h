// The one way a task waits for something inside the process: it leaves its continuation in a list, and
// somebody on the same loop resumes it. Event, Scope and http's read-ahead stand on it. No allocation, no
// timer. Heavy (asio.h): for .cc files.
#pragma once

#include <list>
#include <optional>

#include "async/asio.h"

namespace llmd::async {

class WaitList {
 public:
  explicit WaitList(Executor executor) : executor_(executor) {}
  WaitList(const WaitList&) = delete;

  // Resumed by resume_all(), or by cancellation of the calling task, which then unwinds at its next co_await.
  // The list must live until then.
  Task<void> wait() { return wait_for(true); }
  // Ignores cancellation: for those who clean up.
  Task<void> wait_uncancelled() { return wait_for(false); }

  // Continuations are posted, not run: the caller's state is consistent when they see it.
  void resume_all() {
    while (!waiting_.empty()) {
      resume(*waiting_.front());
    }
  }
  // Runs the first continuation inside this call, which must be the caller's last statement. Saves a turn of
  // the loop.
  void resume_first_now() {
    if (!waiting_.empty()) {
      Handler handler = take(*waiting_.front());
      handler();
    }
  }
  bool empty() const { return waiting_.empty(); }
  Executor executor() const { return executor_; }

 private:
  using Handler = asio::async_result<asio::use_awaitable_t<Executor>, void()>::handler_type;
  struct Entry {
    std::optional<Handler> handler;
    std::list<Entry*>::iterator position;
  };

  Handler take(Entry& entry) {
    waiting_.erase(entry.position);
    Handler handler = std::move(*entry.handler);
    entry.handler.reset();
    return handler;
  }

  void resume(Entry& entry) {
    asio::post(executor_, [handler = take(entry)]() mutable { handler(); });
  }

  Task<void> wait_for(bool cancellable) {
    Entry entry;
    auto enlist = [this, &entry, cancellable](Handler handler) {
      auto slot = asio::get_associated_cancellation_slot(handler);
      entry.handler.emplace(std::move(handler));
      entry.position = waiting_.insert(waiting_.end(), &entry);
      if (cancellable && slot.is_connected()) {
        slot.assign([this, &entry](asio::cancellation_type) {
          if (entry.handler) {
            resume(entry);
          }
        });
      }
    };
    asio::use_awaitable_t<Executor> token;
    co_await asio::async_initiate<asio::use_awaitable_t<Executor>, void()>(enlist, token);
  }

  Executor executor_;
  std::list<Entry*> waiting_;
};

}  // namespace llmd::async
