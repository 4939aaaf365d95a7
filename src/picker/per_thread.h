// PerThread: one T for each thread that asks for it. It belongs to the PerThread and goes with it; a thread
// finds its own again without a lock, by a walk over the owners that it knows, which are few. Private to
// picker.
#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

namespace llmd::picker {

template <typename T>
class PerThread {
 public:
  PerThread() = default;
  PerThread(const PerThread&) = delete;

  // The calling thread's. Any thread.
  T& mine() const {
    for (const Known& each : known()) {
      if (each.all == all_.get()) {
        return *each.mine;
      }
    }
    return add();
  }
  // Calls `visit` with every thread's, while no thread adds one. What threads do with their own is theirs to
  // guard.
  template <typename Visit>
  void each(Visit visit) const {
    const std::lock_guard lock(all_->mutex);
    for (const auto& one : all_->items) {
      visit(*one);
    }
  }
  // How many owners the calling thread knows: those that live, and those that ended since it met a new one.
  static std::size_t owners_known() { return known().size(); }

 private:
  struct All {
    std::mutex mutex;
    std::vector<std::unique_ptr<T>> items;
  };
  struct Known {
    const All* all;
    std::weak_ptr<All> alive;  // also keeps `all` from being the address of another
    T* mine;
  };
  static std::vector<Known>& known() {
    static thread_local std::vector<Known> list;
    return list;
  }
  T& add() const {
    std::erase_if(known(), [](const Known& each) { return each.alive.expired(); });
    auto made = std::make_unique<T>();
    T& own = *made;
    {
      const std::lock_guard lock(all_->mutex);
      all_->items.push_back(std::move(made));
    }
    known().push_back({all_.get(), all_, &own});
    return own;
  }

  const std::shared_ptr<All> all_ = std::make_shared<All>();
};

}  // namespace llmd::picker
