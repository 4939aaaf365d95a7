// Lets readers without locks use memory that a writer wants to free: what the writer retires is freed when
// every reader that could have seen it has left.
//
// Readers, any thread: hold a Guard for the time of one operation. Writer, one thread at a time: retire() and
// collect(). Readers of the current and the previous epoch are counted apart; the epoch moves on only when
// nobody of the previous one is left, so what was retired two epochs ago is out of reach.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <utility>

namespace llmd::kvcache {

class ReaderEpoch {
 public:
  class Guard {
   public:
    explicit Guard(const ReaderEpoch& owner) : count_(owner.enter()) {}
    ~Guard() { count_.fetch_sub(1, std::memory_order_release); }
    Guard(const Guard&) = delete;

   private:
    std::atomic<std::uint32_t>& count_;
  };

  ~ReaderEpoch() {
    for (auto& [epoch, free] : retired_) {
      free();
    }
  }

  void retire(std::function<void()> free) {
    retired_.emplace_back(epoch_.load(std::memory_order_relaxed), std::move(free));
    collect();
  }
  void collect() {
    if (retired_.empty()) {
      return;
    }
    std::uint64_t epoch = epoch_.load();
    if (readers_[(epoch + 1) % 2].count.load() == 0) {
      epoch_.store(++epoch);
    }
    while (!retired_.empty() && retired_.front().first + 2 <= epoch) {
      retired_.front().second();
      retired_.pop_front();
    }
  }

 private:
  struct alignas(64) Count {
    std::atomic<std::uint32_t> count = 0;
  };

  std::atomic<std::uint32_t>& enter() const {
    while (true) {
      const std::uint64_t epoch = epoch_.load();
      auto& count = readers_[epoch % 2].count;
      count.fetch_add(1);
      // The writer may have moved on between the two lines; then this count may belong to a later epoch.
      if (epoch_.load() == epoch) {
        return count;
      }
      count.fetch_sub(1);
    }
  }

  std::atomic<std::uint64_t> epoch_ = 0;
  mutable std::array<Count, 2> readers_;
  std::deque<std::pair<std::uint64_t, std::function<void()>>> retired_;  // the writer's
};

}  // namespace llmd::kvcache
