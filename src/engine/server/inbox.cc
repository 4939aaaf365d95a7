#include "engine/server/inbox.h"

namespace llmd::engine {

class Inbox::Slot final : public Listener {
 public:
  Slot(std::shared_ptr<Inbox> inbox, int index) : inbox_(std::move(inbox)), index_(index) {}
  // The last reference to an inbox must go on its loop, where its Event lives.
  ~Slot() override {
    if (std::this_thread::get_id() != inbox_->loop_thread_) {
      const Executor executor = inbox_->executor_;
      async::post_to(executor, [inbox = std::move(inbox_)] {});
    }
  }
  void on_update(Update update) override { inbox_->push({index_, std::move(update)}); }

 private:
  std::shared_ptr<Inbox> inbox_;
  const int index_;
};

Inbox::Inbox(Executor executor)
    : executor_(executor), loop_thread_(std::this_thread::get_id()), ready_(executor) {}

std::shared_ptr<Listener> Inbox::listener(int index) {
  return std::make_shared<Slot>(shared_from_this(), index);
}

void Inbox::push(Item item) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = items_.empty();
    items_.push_back(std::move(item));
  }
  if (!first) {
    return;  // somebody has already been told
  }
  if (std::this_thread::get_id() == loop_thread_) {
    ready_.set();
  } else {
    async::post_to(executor_, [inbox = shared_from_this()] { inbox->ready_.set(); });
  }
}

Task<std::vector<Inbox::Item>> Inbox::take() {
  const auto self = shared_from_this();
  while (!closed_) {
    ready_.reset();
    {
      std::vector<Item> items;
      const std::lock_guard lock(mutex_);
      items.swap(items_);
      if (!items.empty()) {
        co_return items;
      }
    }
    co_await ready_.wait();
  }
  co_return std::vector<Item>();
}

void Inbox::close() {
  closed_ = true;
  ready_.set();
}

}  // namespace llmd::engine
