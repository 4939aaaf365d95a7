// All objects in memory, in front of the database. Reads and watches see what is on disk; writes see what is
// about to be, so that two writers of one object conflict although the first is still on its way to the disk.
//
// One loop. A write takes its version at once, joins the group that is committed next, and is published, in
// version order, when the group is on disk.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "apiserver/database.h"
#include "apiserver/kinds.h"
#include "async/event.h"
#include "async/worker.h"

namespace llmd::apiserver {

using ObjectPtr = std::shared_ptr<const kube::Object>;

struct Change {
  std::uint64_t version = 0;
  ObjectPtr before;  // null: added
  ObjectPtr after;   // null: deleted; `last` is then the final state with the version of the deletion
  ObjectPtr last;
};
using ChangePtr = std::shared_ptr<const Change>;

// Somebody who wants every change of one kind from now on. Unregisters itself.
class Subscription {
 public:
  Subscription(async::EventLoop& loop) : changed(loop.executor()) {}
  Subscription(const Subscription&) = delete;
  ~Subscription();

  std::deque<ChangePtr> queue;
  bool overflowed = false;  // too slow: the queue is no longer complete
  async::Event changed;

 private:
  friend class Registry;
  std::vector<Subscription*>* list_ = nullptr;
};

using Objects = std::map<kube::ObjectKey, ObjectPtr>;

class Registry {
 public:
  static Result<std::unique_ptr<Registry>> open(async::EventLoop& loop, const std::filesystem::path& file);
  ~Registry();

  const Objects& objects(const Kind& kind) const;                      // committed
  ObjectPtr find(const Kind& kind, const kube::ObjectKey& key) const;  // committed
  ObjectPtr head(const Kind& kind,
                 const kube::ObjectKey& key) const;  // with writes under way; for writers only
  std::uint64_t version() const;                     // of the newest committed write

  // Stores (null: deletes) and waits until it is on disk. Returns the object as stored, with its
  // resourceVersion; for a deletion the final state. Between reading head() and this call there must be no
  // co_await.
  Task<Result<ObjectPtr>> write(const Kind& kind, kube::ObjectKey key, std::optional<kube::Object> object);

  // Changes after `version`, or null when the window does not reach back that far.
  std::unique_ptr<Subscription> subscribe(const Kind& kind, std::uint64_t version);
  // The oldest version a watch of this kind can start from.
  std::uint64_t oldest(const Kind& kind) const;

  // Commits groups until cancelled. Without it no write completes.
  Task<void> run();

 private:
  struct State;
  explicit Registry(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace llmd::apiserver
