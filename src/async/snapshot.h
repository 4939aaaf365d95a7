// Snapshot<T>: shared immutable state. Readers on any thread take the current version and keep it as long as
// they like; a writer builds the next version and swaps it in.
#pragma once

#include <memory>
#include <mutex>
#include <utility>

namespace llmd::async {

template <typename T>
class Snapshot {
 public:
  explicit Snapshot(std::shared_ptr<const T> first = std::make_shared<const T>())
      : current_(std::move(first)) {}

  std::shared_ptr<const T> load() const {
    const std::lock_guard lock(mutex_);
    return current_;
  }
  void store(std::shared_ptr<const T> next) {
    const std::lock_guard lock(mutex_);
    current_.swap(next);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const T> current_;
};

}  // namespace llmd::async
