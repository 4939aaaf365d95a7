#include "apiserver/registry.h"

#include <algorithm>

#include "base/log.h"

namespace llmd::apiserver {

namespace {

constexpr std::size_t kWindow = 2000;      // changes kept per kind
constexpr std::size_t kMaxQueued = 10000;  // changes a slow watcher may be behind
constexpr std::size_t kMaxGroup = 500;     // writes per transaction

struct Pending {
  explicit Pending(Executor executor) : done(executor) {}
  const Kind* kind = nullptr;
  StoredWrite stored;
  ObjectPtr last;  // of a deletion
  std::optional<Error> error;
  async::Event done;
};
using PendingPtr = std::shared_ptr<Pending>;

struct Collection {
  Objects objects;
  // Newest state of objects with writes under way; null: being deleted.
  std::map<kube::ObjectKey, std::pair<std::uint64_t, ObjectPtr>> under_way;
  std::deque<ChangePtr> window;
  std::uint64_t oldest = 0;
  std::vector<Subscription*> subscriptions;
};

std::string storage_name(const Kind& kind) {
  return kind.resource.group.empty() ? std::string(kind.resource.plural)
                                     : fmt::format("{}/{}", kind.resource.group, kind.resource.plural);
}

}  // namespace

Subscription::~Subscription() {
  if (list_) {
    std::erase(*list_, this);
  }
}

struct Registry::State {
  explicit State(async::EventLoop& used)
      : loop(used), collections(served_kinds().size()), work(used.executor()), worker("apiserver-store") {}

  async::EventLoop& loop;
  std::unique_ptr<Database> database;
  std::vector<Collection> collections;
  std::uint64_t last_given = 0;
  std::uint64_t committed = 0;
  std::deque<PendingPtr> queue;
  async::Event work;
  async::Worker worker;  // declared last: stops before the database goes

  Result<void> load() {
    LLMD_TRY(auto objects, database->load());
    std::map<std::string, const Kind*> by_name;
    for (const Kind& kind : served_kinds()) {
      by_name.emplace(storage_name(kind), &kind);
    }
    for (StoredObject& stored : objects) {
      const auto kind = by_name.find(stored.kind);
      if (kind == by_name.end()) {
        log::warning("stored objects of an unknown kind are ignored", {{"kind", stored.kind}});
        continue;
      }
      const kube::ObjectKey key = kube::key_of(stored.object);
      collections[kind->second->index].objects.emplace(
          key, std::make_shared<kube::Object>(std::move(stored.object)));
    }
    last_given = committed = database->version();
    for (Collection& collection : collections) {
      collection.oldest = committed;
    }
    return {};
  }

  void publish(const Pending& write) {
    Collection& collection = collections[write.kind->index];
    auto change = std::make_shared<Change>();
    change->version = write.stored.version;
    const auto found = collection.objects.find(write.stored.key);
    if (found != collection.objects.end()) {
      change->before = found->second;
    }
    change->after = write.stored.object;
    change->last = write.last;
    if (write.stored.object) {
      collection.objects.insert_or_assign(write.stored.key, write.stored.object);
    } else if (found != collection.objects.end()) {
      collection.objects.erase(found);
    }
    const auto way = collection.under_way.find(write.stored.key);
    if (way != collection.under_way.end() && way->second.first == write.stored.version) {
      collection.under_way.erase(way);
    }
    collection.window.push_back(change);
    if (collection.window.size() > kWindow) {
      collection.oldest = collection.window.front()->version;
      collection.window.pop_front();
    }
    for (Subscription* subscription : collection.subscriptions) {
      if (subscription->queue.size() >= kMaxQueued) {
        subscription->overflowed = true;
      } else {
        subscription->queue.push_back(change);
      }
      subscription->changed.set();
    }
  }

  // A failed group takes all that builds upon it along: their callers get the error and nothing of it is
  // visible.
  void fail_all(std::vector<PendingPtr> group, const Error& error) {
    group.insert(group.end(), queue.begin(), queue.end());
    queue.clear();
    for (Collection& collection : collections) {
      collection.under_way.clear();
    }
    for (const PendingPtr& write : group) {
      write->error = error;
      write->done.set();
    }
    log::error("the API server cannot write", {{"error", error.text()}, {"writes", group.size()}});
  }

  Task<void> commit_group() {
    std::vector<PendingPtr> group;
    auto stored = std::make_shared<std::vector<StoredWrite>>();
    while (!queue.empty() && group.size() < kMaxGroup) {
      group.push_back(std::move(queue.front()));
      queue.pop_front();
      stored->push_back(group.back()->stored);
    }
    Database* const target = database.get();
    const auto job = [target, stored]() -> Result<void> { return target->commit(*stored); };
    const auto written = co_await worker.run(job);
    if (!written) {
      fail_all(std::move(group), written.error());
      co_return;
    }
    for (const PendingPtr& write : group) {
      committed = write->stored.version;
      publish(*write);
      write->done.set();
    }
  }
};

Registry::Registry(std::unique_ptr<State> state) : state_(std::move(state)) {}
Registry::~Registry() = default;

Result<std::unique_ptr<Registry>> Registry::open(async::EventLoop& loop, const std::filesystem::path& file) {
  auto state = std::make_unique<State>(loop);
  LLMD_TRY(state->database, Database::open(file));
  LLMD_TRY_VOID(state->load());
  return std::unique_ptr<Registry>(new Registry(std::move(state)));
}

const Objects& Registry::objects(const Kind& kind) const {
  return state_->collections[kind.index].objects;
}

ObjectPtr Registry::find(const Kind& kind, const kube::ObjectKey& key) const {
  const Objects& all = objects(kind);
  const auto found = all.find(key);
  return found == all.end() ? nullptr : found->second;
}

ObjectPtr Registry::head(const Kind& kind, const kube::ObjectKey& key) const {
  const auto& under_way = state_->collections[kind.index].under_way;
  const auto found = under_way.find(key);
  return found != under_way.end() ? found->second.second : find(kind, key);
}

std::uint64_t Registry::version() const {
  return state_->committed;
}
std::uint64_t Registry::oldest(const Kind& kind) const {
  return state_->collections[kind.index].oldest;
}

Task<Result<ObjectPtr>> Registry::write(const Kind& kind, kube::ObjectKey key,
                                        std::optional<kube::Object> object) {
  const auto pending = std::make_shared<Pending>(state_->loop.executor());
  const std::uint64_t version = ++state_->last_given;
  const std::string version_text = std::to_string(version);
  pending->kind = &kind;
  pending->stored.kind = storage_name(kind);
  pending->stored.key = key;
  pending->stored.version = version;
  ObjectPtr answer;
  if (object) {
    kube::at(*object, "metadata.resourceVersion") = version_text;
    answer = pending->stored.object = std::make_shared<kube::Object>(std::move(*object));
  } else if (const ObjectPtr before = head(kind, key)) {
    kube::Object last = *before;
    kube::at(last, "metadata.resourceVersion") = version_text;
    answer = pending->last = std::make_shared<kube::Object>(std::move(last));
  }
  Collection& collection = state_->collections[kind.index];
  collection.under_way.insert_or_assign(key, std::pair(version, pending->stored.object));
  state_->queue.push_back(pending);
  state_->work.set();
  co_await pending->done.wait();
  if (pending->error) {
    co_return std::unexpected(*pending->error);
  }
  co_return answer;
}

std::unique_ptr<Subscription> Registry::subscribe(const Kind& kind, std::uint64_t version) {
  Collection& collection = state_->collections[kind.index];
  if (version < collection.oldest) {
    return nullptr;
  }
  auto subscription = std::make_unique<Subscription>(state_->loop);
  for (const ChangePtr& change : collection.window) {
    if (change->version > version) {
      subscription->queue.push_back(change);
    }
  }
  subscription->list_ = &collection.subscriptions;
  collection.subscriptions.push_back(subscription.get());
  return subscription;
}

Task<void> Registry::run() {
  while (true) {
    while (state_->queue.empty()) {
      state_->work.reset();
      co_await state_->work.wait();
    }
    co_await state_->commit_group();
  }
}

}  // namespace llmd::apiserver
