// A fixed team of threads that computes one step at a time, together.
//
//   pool.run([&](Worker& worker) {
//     worker.share(tiles, 4, [&](int tile) { ... });   // each tile once, by whoever is free; then a barrier
//     worker.share(rows, 1, [&](int row) { ... });     // sees everything the first loop wrote
//   });
//
// Every worker runs the same body and must reach the same share() calls. Waiting spins first and then sleeps
// in the kernel; how long it spins adapts, so that a team with fewer cores than threads (another process
// computes too) stops burning time it does not own. An idle team uses no CPU.
//
// Threads: run() is called by one thread at a time; it takes part as worker 0.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace llmd::engine {

class ComputePool;

class Worker {
 public:
  Worker(ComputePool& pool, int index) : pool_(pool), index_(index) {}

  int index() const { return index_; }  // 0 .. threads-1
  int threads() const;

  // Calls body(unit) once for each unit in 0 .. units-1, in pieces of `grain`, then waits for the others.
  template <typename Body>
  void share(int units, int grain, Body&& body);

 private:
  friend class ComputePool;
  int take(int grain);
  void barrier();
  void part();

  static constexpr int kFirstPatience = 256;

  ComputePool& pool_;
  const int index_;
  int patience_ = kFirstPatience;  // pauses before sleeping
  unsigned late_ = 0;              // waits that ended in sleep
};

class ComputePool {
 public:
  explicit ComputePool(int threads);
  ComputePool(const ComputePool&) = delete;
  ComputePool& operator=(const ComputePool&) = delete;
  ~ComputePool();

  int threads() const { return threads_; }

  template <typename Body>
  void run(Body&& body) {
    start([](void* context,
             Worker& worker) { (*static_cast<std::remove_reference_t<Body>*>(context))(worker); },
          &body);
  }

 private:
  friend class Worker;
  using Step = void (*)(void* context, Worker& worker);

  void start(Step step, void* context);
  void serve(int index);
  // Waits until `word` differs from `old`; `patience` pauses first. True when no sleep was needed.
  bool await_change(std::atomic<std::uint32_t>& word, std::uint32_t old, int patience);
  void announce(std::atomic<std::uint32_t>& word);

  // On lines of their own: each is written by all threads at different moments.
  alignas(64) std::atomic<int> next_unit_{0};
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<std::uint32_t> generation_{0};  // of the barrier
  alignas(64) std::atomic<std::uint32_t> job_{0};         // counts run() calls
  std::atomic<int> sleepers_{0};
  std::atomic<int> last_core_{-1};  // of whoever came to the barrier last
  alignas(64) Step step_ = nullptr;
  void* context_ = nullptr;
  bool stopping_ = false;
  const int threads_;
  Worker caller_;
  std::vector<std::thread> team_;
};

inline int Worker::threads() const {
  return pool_.threads();
}

template <typename Body>
void Worker::share(int units, int grain, Body&& body) {
  if (pool_.threads() == 1) {
    for (int unit = 0; unit < units; ++unit) {
      body(unit);
    }
    return;
  }
  for (int first = take(grain); first < units; first = take(grain)) {
    const int end = std::min(units, first + grain);
    for (int unit = first; unit < end; ++unit) {
      body(unit);
    }
  }
  barrier();
}

}  // namespace llmd::engine
