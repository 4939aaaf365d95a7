#include "async/worker.h"

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace llmd::async {

struct Worker::State {
  std::string name;
  std::size_t max_queued;
  std::mutex mutex;  // guards the two below
  std::condition_variable changed;
  std::deque<std::function<void()>> jobs;
  bool stopping = false;
  std::thread thread;

  void work() {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [this] { return stopping || !jobs.empty(); });
      if (stopping) {
        return;
      }
      {
        const auto job = std::move(jobs.front());
        jobs.pop_front();
        lock.unlock();
        job();
      }
      lock.lock();
    }
  }
};

Worker::Worker(std::string name, std::size_t max_queued) : state_(std::make_unique<State>()) {
  state_->name = std::move(name);
  state_->max_queued = max_queued;
  state_->thread = std::thread([state = state_.get()] { state->work(); });
  pthread_setname_np(state_->thread.native_handle(), state_->name.substr(0, 15).c_str());
}

Worker::~Worker() {
  {
    const std::lock_guard lock(state_->mutex);
    state_->stopping = true;
  }
  state_->changed.notify_all();
  state_->thread.join();
}

const std::string& Worker::name() const {
  return state_->name;
}

bool Worker::post(std::function<void()> job) {
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->stopping || state_->jobs.size() >= state_->max_queued) {
      return false;
    }
    state_->jobs.push_back(std::move(job));
  }
  state_->changed.notify_one();
  return true;
}

}  // namespace llmd::async
