#include "picker/chain_inserter.h"

#include <algorithm>
#include <utility>

namespace llmd::picker {

ChainInserter::~ChainInserter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  arrived_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void ChainInserter::insert(kvcache::EndpointHandle endpoint, std::vector<kvcache::BlockHash>& chain) {
  if (chain.size() <= kShort) {
    index_.insert(endpoint, chain);
    return;
  }
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    if (ring_.empty()) {
      ring_.resize(kMost);
      thread_ = std::thread([this] { run(); });
    }
    if (count_ == kMost) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    Job& job = ring_[(first_ + count_++) % kMost];
    job.endpoint = endpoint;
    job.chain.swap(chain);
    wake = std::exchange(asleep_, false);
  }
  // Without the lock, which the thread takes first of all.
  if (wake) {
    arrived_.notify_one();
  }
}

void ChainInserter::flush() {
  std::unique_lock lock(mutex_);
  ++flushing_;
  arrived_.notify_one();
  idle_.wait(lock, [this] { return count_ == 0; });
  --flushing_;
}

void ChainInserter::wait_for_work(std::unique_lock<std::mutex>& lock) {
  // While chains come quickly, nobody needs to wake this thread, which costs as much as a decision.
  if (come_quickly_) {
    arrived_.wait_for(lock, kNap, [this] { return stopping_ || (flushing_ > 0 && count_ > 0); });
  }
  if (count_ == 0 && !stopping_) {
    const auto before = std::chrono::steady_clock::now();
    asleep_ = true;
    arrived_.wait(lock, [this] { return stopping_ || count_ > 0; });
    asleep_ = false;
    come_quickly_ = std::chrono::steady_clock::now() - before < kNap;
  }
}

void ChainInserter::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    if (count_ == 0) {
      wait_for_work(lock);
    }
    if (stopping_) {
      return;
    }
    // They stay in their places, where nobody touches them, until they are written.
    const std::size_t begin = first_;
    const std::size_t count = std::min(count_, kTogether);
    lock.unlock();
    for (std::size_t i = 0; i < count; ++i) {
      const Job& job = ring_[(begin + i) % kMost];
      index_.insert(job.endpoint, job.chain);
    }
    lock.lock();
    first_ = (begin + count) % kMost;
    count_ -= count;
    if (count_ == 0) {
      idle_.notify_all();
    }
  }
}

}  // namespace llmd::picker
