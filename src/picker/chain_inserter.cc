#include "picker/chain_inserter.h"

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

void ChainInserter::insert(kvcache::EndpointHandle endpoint, std::span<const kvcache::BlockHash> chain) {
  if (chain.size() <= kShort) {
    index_.insert(endpoint, chain);
    return;
  }
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
  job.chain.assign(chain.begin(), chain.end());
  if (!busy_ && count_ == 1) {
    arrived_.notify_one();
  }
}

void ChainInserter::flush() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return count_ == 0 && !busy_; });
}

void ChainInserter::run() {
  std::vector<kvcache::BlockHash> chain;
  std::unique_lock lock(mutex_);
  while (true) {
    arrived_.wait(lock, [this] { return stopping_ || count_ > 0; });
    if (stopping_) {
      return;
    }
    Job& job = ring_[first_];
    const kvcache::EndpointHandle endpoint = job.endpoint;
    chain.swap(job.chain);
    first_ = (first_ + 1) % kMost;
    --count_;
    busy_ = true;
    lock.unlock();
    index_.insert(endpoint, chain);
    lock.lock();
    busy_ = false;
    if (count_ == 0) {
      idle_.notify_all();
    }
  }
}

}  // namespace llmd::picker
