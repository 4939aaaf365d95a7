// The way back from the engine's thread to the task of one HTTP request: the updates of all its sequences, in
// order. Bounded by max_tokens: a slow client does not make the engine wait, and a client that reads nothing
// is cut off by the server's write timeout.
#pragma once

#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "async/event.h"
#include "engine/core/generation.h"

namespace llmd::engine {

class Inbox : public std::enable_shared_from_this<Inbox> {
 public:
  struct Item {
    int index = 0;  // of the sequence within the request
    Update update;
  };

  // On the loop's thread.
  explicit Inbox(Executor executor);

  // For the engine; keeps the inbox alive.
  std::shared_ptr<Listener> listener(int index);

  // On the loop. Everything that has come; waits for at least one item. Empty: closed.
  Task<std::vector<Item>> take();
  // The client has gone: take() returns empty from now on.
  void close();
  bool closed() const { return closed_; }

 private:
  class Slot;
  void push(Item item);

  const Executor executor_;
  const std::thread::id loop_thread_;
  async::Event ready_;
  bool closed_ = false;
  std::mutex mutex_;
  std::vector<Item> items_;  // guarded by mutex_
};

}  // namespace llmd::engine
