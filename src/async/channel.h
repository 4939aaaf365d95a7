// Channel<T>: a bounded queue between tasks of one loop. send() waits while it is full, receive() while it is
// empty. After close(), receive() drains what is left and then gives nullopt; send() gives a cancelled error.
#pragma once

#include <deque>
#include <optional>

#include "async/event.h"

namespace llmd::async {

template <typename T>
class Channel {
 public:
  Channel(Executor executor, std::size_t capacity)
      : capacity_(capacity), not_full_(executor), not_empty_(executor) {
    not_full_.set();
  }

  bool try_send(T value) {
    if (closed_ || queue_.size() >= capacity_) {
      return false;
    }
    push(std::move(value));
    return true;
  }
  Task<Result<void>> send(T value) {
    while (!closed_ && queue_.size() >= capacity_) {
      not_full_.reset();
      co_await not_full_.wait();
    }
    if (closed_) {
      co_return cancelled("the channel is closed");
    }
    push(std::move(value));
    co_return Result<void>();
  }
  Task<std::optional<T>> receive() {
    while (queue_.empty()) {
      if (closed_) {
        co_return std::nullopt;
      }
      not_empty_.reset();
      co_await not_empty_.wait();
    }
    T value = std::move(queue_.front());
    queue_.pop_front();
    not_full_.set();
    co_return value;
  }
  void close() {
    closed_ = true;
    not_full_.set();
    not_empty_.set();
  }
  std::size_t size() const { return queue_.size(); }

 private:
  void push(T value) {
    queue_.push_back(std::move(value));
    not_empty_.set();
  }

  std::size_t capacity_;
  bool closed_ = false;
  std::deque<T> queue_;
  Event not_full_;
  Event not_empty_;
};

}  // namespace llmd::async
