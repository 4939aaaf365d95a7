#include "kube/informer.h"

#include <algorithm>

#include "async/deadline.h"
#include "base/log.h"

namespace llmd::kube {

namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(200);
constexpr Duration kLongestPause = std::chrono::seconds(10);

}  // namespace

struct Informer::State {
  State(async::EventLoop& loop, Client& used, Resource kind, std::string where, ListOptions which)
      : client(used),
        resource(kind),
        name_space(std::move(where)),
        options(std::move(which)),
        synced(loop.executor()) {}

  Client& client;
  const Resource resource;
  const std::string name_space;
  const ListOptions options;
  async::Event synced;
  std::map<ObjectKey, Object> copy;
  std::optional<TimePoint> interrupted;
  std::vector<std::function<void(const Object*, const Object*)>> callbacks;

  void notify(const Object* before, const Object* after) const {
    for (const auto& callback : callbacks) {
      callback(before, after);
    }
  }

  void put(Object object) {
    const ObjectKey key = key_of(object);
    const auto found = copy.find(key);
    if (found == copy.end()) {
      const auto added = copy.emplace(key, std::move(object)).first;
      notify(nullptr, &added->second);
      return;
    }
    if (resource_version_of(found->second) == resource_version_of(object)) {
      return;
    }
    const Object before = std::exchange(found->second, std::move(object));
    notify(&before, &found->second);
  }

  void drop(const ObjectKey& key, const Object* last) {
    auto node = copy.extract(key);
    if (!node.empty()) {
      notify(last ? last : &node.mapped(), nullptr);
    }
  }

  // After an outage: what is no longer listed was deleted meanwhile.
  void replace_all(std::vector<Object> items) {
    std::vector<ObjectKey> gone;
    std::map<ObjectKey, bool> listed;
    for (const Object& item : items) {
      listed.emplace(key_of(item), true);
    }
    for (const auto& [key, object] : copy) {
      if (!listed.contains(key)) {
        gone.push_back(key);
      }
    }
    for (const ObjectKey& key : gone) {
      drop(key, nullptr);
    }
    for (Object& item : items) {
      put(std::move(item));
    }
  }

  void take(WatchEvent event) {
    switch (event.type) {
      case WatchType::Added:
      case WatchType::Modified:
        return put(std::move(event.object));
      case WatchType::Deleted:
        return drop(key_of(event.object), &event.object);
      case WatchType::Bookmark:
        return;
    }
  }

  // One list and as many watches as end in order. Returns only with the error that ended it.
  Task<Error> follow(Duration& pause) {
    auto listed = co_await client.list(resource, name_space, options);
    if (!listed) {
      co_return std::move(listed.error());
    }
    replace_all(std::move(listed->items));
    synced.set();
    interrupted.reset();
    pause = kFirstPause;
    std::string version = listed->resource_version;
    const std::function<void(WatchEvent)> on_event = [this, &version](WatchEvent event) {
      version = resource_version_of(event.object);
      take(std::move(event));
    };
    while (true) {
      const TimePoint started = std::chrono::steady_clock::now();
      auto ended = co_await client.watch(resource, name_space, options, version, on_event);
      if (!ended) {
        co_return std::move(ended.error());
      }
      // A server that ends every watch at once must not make us spin.
      if (std::chrono::steady_clock::now() - started < kFirstPause) {
        co_await async::sleep(kFirstPause);
      }
    }
  }
};

Informer::Informer(async::EventLoop& loop, Client& client, Resource resource, std::string name_space,
                   ListOptions options)
    : state_(std::make_unique<State>(loop, client, resource, std::move(name_space), std::move(options))) {}
Informer::~Informer() = default;

void Informer::on_change(std::function<void(const Object*, const Object*)> callback) {
  state_->callbacks.push_back(std::move(callback));
}

Task<void> Informer::run() {
  Duration pause = kFirstPause;
  bool complained = false;
  while (true) {
    const Error error = co_await state_->follow(pause);
    const bool expired = error.kind == ErrorKind::FailedPrecondition;
    if (pause == kFirstPause) {
      complained = false;  // it worked in between: a new outage
    }
    // A definition that is not installed is no outage, and may come.
    const bool unknown = error.kind == ErrorKind::NotFound && !state_->synced.is_set();
    if (!expired && !unknown && !state_->interrupted) {
      state_->interrupted = std::chrono::steady_clock::now();
    }
    if (unknown && !complained) {
      complained = true;
      log::info("the API server does not have this kind",
                {{"resource", state_->resource.plural}, {"version", state_->resource.api_version()}});
    }
    if (!expired && !complained) {
      complained = true;
      log::warning("watch interrupted", {{"resource", state_->resource.plural}, {"error", error.text()}});
    }
    co_await async::sleep(pause);
    pause = std::min(pause * 2, kLongestPause);
  }
}

Task<void> Informer::synced() {
  return state_->synced.wait();
}

bool Informer::is_synced() const {
  return state_->synced.is_set();
}

std::optional<TimePoint> Informer::interrupted_since() const {
  return state_->interrupted;
}

const Object* Informer::find(const ObjectKey& key) const {
  const auto found = state_->copy.find(key);
  return found == state_->copy.end() ? nullptr : &found->second;
}

const std::map<ObjectKey, Object>& Informer::objects() const {
  return state_->copy;
}

}  // namespace llmd::kube
