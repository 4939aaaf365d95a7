// ChainInserter: writes chains into a prefix index on a thread of its own, so that a decision does not wait
// for thousands of insertions. At most kMost chains wait; further ones are dropped and counted, which costs a
// prediction and nothing else. Any thread.
//
// A chain that comes alone is written at once; one that comes right after others waits up to kNap with those
// that follow, because waking a thread costs as much as a decision, and so does being interrupted by one.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "kvcache/prefix_index.h"

namespace llmd::picker {

class ChainInserter {
 public:
  static constexpr std::size_t kMost = 1024;
  // So many at a time are written without asking for the lock, which decisions need, in between.
  static constexpr std::size_t kTogether = 32;
  // Chains up to this length are written at once.
  static constexpr std::size_t kShort = 16;
  static constexpr std::chrono::microseconds kNap{2000};

  explicit ChainInserter(kvcache::PrefixIndex& index) : index_(index) {}
  ~ChainInserter();
  ChainInserter(const ChainInserter&) = delete;

  // Takes the chain and leaves memory in its place that is to be written again, with nothing in it of use: a
  // copy would cost more than all else here.
  void insert(kvcache::EndpointHandle endpoint, std::vector<kvcache::BlockHash>& chain);
  // Returns when everything inserted before is in the index.
  void flush();
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  struct Job {
    kvcache::EndpointHandle endpoint;
    std::vector<kvcache::BlockHash> chain;  // memory is kept for the next job in this place
  };
  void run();
  void wait_for_work(std::unique_lock<std::mutex>& lock);

  kvcache::PrefixIndex& index_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::condition_variable idle_;
  std::vector<Job> ring_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;  // with those that are being written
  int flushing_ = 0;
  bool asleep_ = false;        // and to be woken
  bool come_quickly_ = false;  // the last one came within a nap of the one before
  bool stopping_ = false;
  std::atomic<std::uint64_t> dropped_{0};
  std::thread thread_;  // started by the first job
};

}  // namespace llmd::picker
