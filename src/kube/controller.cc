#include "kube/controller.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include "async/deadline.h"
#include "async/event.h"
#include "base/log.h"

namespace llmd::kube {

namespace {

constexpr Duration kFirstRetry = std::chrono::milliseconds(20);
constexpr Duration kLongestRetry = std::chrono::seconds(30);

}  // namespace

// A key is queued at most once. One that arrives while it is being reconciled runs again afterwards.
struct Controller::State {
  State(async::EventLoop& loop, std::string called, Reconciler used, int count)
      : executor(loop.executor()),
        name(std::move(called)),
        reconciler(std::move(used)),
        workers(count),
        work(executor),
        timer_changed(executor) {}

  Executor executor;
  const std::string name;
  const Reconciler reconciler;
  const int workers;
  std::deque<ObjectKey> queue;
  std::set<ObjectKey> queued;
  std::set<ObjectKey> running;
  std::set<ObjectKey> again;
  std::map<ObjectKey, Duration> retries;
  std::multimap<TimePoint, ObjectKey> later;
  async::Event work;
  async::Event timer_changed;

  void add(const ObjectKey& key) {
    if (running.contains(key)) {
      again.insert(key);
    } else if (queued.insert(key).second) {
      queue.push_back(key);
      work.set();
    }
  }

  void add_after(const ObjectKey& key, Duration delay) {
    // The earliest wish wins; more than one timer per key would only repeat the same look.
    const TimePoint when = std::chrono::steady_clock::now() + delay;
    const auto same = std::ranges::find_if(later, [&](const auto& entry) { return entry.second == key; });
    if (same != later.end()) {
      if (same->first <= when) {
        return;
      }
      later.erase(same);
    }
    later.emplace(when, key);
    timer_changed.set();
  }

  void retry(const ObjectKey& key, const Error& error) {
    if (error.kind == ErrorKind::Conflict) {
      return add_after(key, std::chrono::milliseconds(1));
    }
    Duration& delay = retries.try_emplace(key, kFirstRetry).first->second;
    log::warning("reconcile failed",
                 {{"controller", name},
                  {"object", key.to_string()},
                  {"error", error.text()},
                  {"retry_ms", std::chrono::duration_cast<std::chrono::milliseconds>(delay).count()}});
    add_after(key, delay);
    delay = std::min(delay * 2, kLongestRetry);
  }

  Task<void> reconcile_next() {
    const ObjectKey key = std::move(queue.front());
    queue.pop_front();
    queued.erase(key);
    running.insert(key);
    auto outcome = co_await reconciler(key);
    running.erase(key);
    if (!outcome) {
      retry(key, outcome.error());
    } else {
      retries.erase(key);
      if (outcome->again_after) {
        add_after(key, *outcome->again_after);
      }
    }
    if (again.erase(key) > 0) {
      add(key);
    }
  }

  Task<void> serve() {
    while (true) {
      while (queue.empty()) {
        work.reset();
        co_await work.wait();
      }
      co_await reconcile_next();
    }
  }

  Task<void> serve_timers() {
    while (true) {
      timer_changed.reset();
      const auto next = later.empty() ? async::Deadline::never() : async::Deadline::at(later.begin()->first);
      co_await timer_changed.wait_until(next);
      const TimePoint now = std::chrono::steady_clock::now();
      while (!later.empty() && later.begin()->first <= now) {
        const ObjectKey key = std::move(later.begin()->second);
        later.erase(later.begin());
        add(key);
      }
    }
  }
};

Controller::Controller(async::EventLoop& loop, std::string name, Reconciler reconciler, int workers)
    : state_(std::make_unique<State>(loop, std::move(name), std::move(reconciler), workers)) {}
Controller::~Controller() = default;

void Controller::enqueue(ObjectKey key) {
  state_->add(key);
}
void Controller::enqueue_after(ObjectKey key, Duration delay) {
  state_->add_after(key, delay);
}

Task<void> Controller::run() {
  const std::function<Task<void>(async::Scope&)> body = [this](async::Scope& scope) -> Task<void> {
    for (int i = 0; i < state_->workers; ++i) {
      scope.spawn("reconcile", state_->serve());
    }
    co_await state_->serve_timers();
  };
  co_await async::with_scope(state_->executor, body);
}

}  // namespace llmd::kube
