#include "engine/kernels/compute_pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>

namespace llmd::engine {
namespace {

// In pauses; one is 20 to 60 ns. Work between two barriers is unevenly spread by a few microseconds, so the
// longest wait that is cheaper than a sleep is about 100 µs.
constexpr int kLeastPatience = 16;
constexpr int kMostPatience = 2000;
// Sleeps before a thread looks whether it shares its core with the team.
constexpr unsigned kLateBeforeLeaving = 16;
// Between two steps the scheduler samples and talks to its queues: worth a short wait, never a long one.
constexpr int kIdlePatience = 1000;
// With few cores the kernel places threads better than we do: a pinned thread cannot leave a core that others
// use.
constexpr int kPinFromCores = 5;

std::uint32_t* address(std::atomic<std::uint32_t>& word) {
  return reinterpret_cast<std::uint32_t*>(&word);
}

void pin(std::thread& thread, int index) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < kPinFromCores) {
    return;
  }
  int seen = 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &allowed) && seen++ == index) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpu, &one);
      pthread_setaffinity_np(thread.native_handle(), sizeof one, &one);
      return;
    }
  }
}

// Moves the calling thread to another core than `core`, without keeping it there.
void leave(int core) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (core < 0 || sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
    return;
  }
  cpu_set_t others = allowed;
  CPU_CLR(core, &others);
  if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof others, &others) == 0) {
    sched_setaffinity(0, sizeof allowed, &allowed);
  }
}

}  // namespace

int Worker::take(int grain) {
  return pool_.next_unit_.fetch_add(grain, std::memory_order_relaxed);
}

void Worker::barrier() {
  const std::uint32_t generation = pool_.generation_.load(std::memory_order_acquire);
  if (pool_.arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == pool_.threads()) {
    // All others wait: nobody touches these until the generation changes.
    pool_.arrived_.store(0, std::memory_order_relaxed);
    pool_.next_unit_.store(0, std::memory_order_relaxed);
    pool_.last_core_.store(sched_getcpu(), std::memory_order_relaxed);
    pool_.announce(pool_.generation_);
    return;
  }
  const bool in_time = pool_.await_change(pool_.generation_, generation, patience_);
  patience_ = in_time ? std::min(kMostPatience, patience_ + patience_ / 8 + 1)
                      : std::max(kLeastPatience, patience_ / 2);
  if (!in_time && ++late_ % kLateBeforeLeaving == 0) {
    part();
  }
}

// A woken thread is often put on the core of the one that woke it. There the two take turns: nobody's
// patience can ever be rewarded, and the other core stays empty.
void Worker::part() {
  const int core = pool_.last_core_.load(std::memory_order_relaxed);
  if (core == sched_getcpu()) {
    leave(core);
    patience_ = kFirstPatience;
  }
}

ComputePool::ComputePool(int threads) : threads_(std::max(1, threads)), caller_(*this, 0) {
  for (int index = 1; index < threads_; ++index) {
    team_.emplace_back([this, index] { serve(index); });
    pin(team_.back(), index);
  }
}

ComputePool::~ComputePool() {
  stopping_ = true;
  announce(job_);
  for (std::thread& thread : team_) {
    thread.join();
  }
}

void ComputePool::start(Step step, void* context) {
  step_ = step;
  context_ = context;
  if (threads_ > 1) {
    announce(job_);
  }
  step(context, caller_);
  if (threads_ > 1) {
    caller_.barrier();
  }
}

void ComputePool::serve(int index) {
  const std::string name = "compute-" + std::to_string(index);
  pthread_setname_np(pthread_self(), name.c_str());
  Worker worker(*this, index);
  for (std::uint32_t job = 0;; ++job) {
    await_change(job_, job, kIdlePatience);
    if (stopping_) {
      return;
    }
    step_(context_, worker);
    worker.barrier();
  }
}

bool ComputePool::await_change(std::atomic<std::uint32_t>& word, std::uint32_t old, int patience) {
  for (int i = 0; i < patience; ++i) {
    if (word.load(std::memory_order_acquire) != old) {
      return true;
    }
    __builtin_ia32_pause();
  }
  // The announcer changes the word and then reads sleepers_; we write sleepers_ and then the kernel reads the
  // word: one of the two sees the other.
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  while (word.load(std::memory_order_seq_cst) == old) {
    syscall(SYS_futex, address(word), FUTEX_WAIT_PRIVATE, old, nullptr, nullptr, 0);
  }
  sleepers_.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

void ComputePool::announce(std::atomic<std::uint32_t>& word) {
  word.fetch_add(1, std::memory_order_seq_cst);
  if (sleepers_.load(std::memory_order_seq_cst) > 0) {
    syscall(SYS_futex, address(word), FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
  }
}

}  // namespace llmd::engine
