// Garbage collection by ownerReferences.
//
// 1. An object all of whose owners are gone is deleted; references to some that are gone are dropped.
// 2. An owner deleted in the foreground waits until the dependents that block it are gone.
// 3. An owner deleted as "orphan" first leaves its dependents.
//
// The copies of the informers find candidates; whether an owner is really gone is asked of the server.
#include <boost/json/array.hpp>

#include <algorithm>
#include <set>

#include "controllers/world.h"

namespace llmd::controllers {

namespace {

using boost::json::array;
using kube::find_array;
using kube::find_bool;
using kube::find_string;
using kube::Object;

constexpr std::string_view kForeground = "foregroundDeletion";
constexpr std::string_view kOrphan = "orphan";

bool has_finalizer(const Object& object, std::string_view name) {
  const array* list = find_array(object, "metadata.finalizers");
  return list && std::ranges::any_of(*list, [&](const auto& item) {
           return item.is_string() && std::string_view(item.get_string()) == name;
         });
}

template <typename Function>
void for_each_owner(const Object& object, Function function) {
  if (const array* owners = find_array(object, "metadata.ownerReferences")) {
    for (const auto& owner : *owners) {
      if (owner.is_object()) {
        function(owner.get_object());
      }
    }
  }
}

class GarbageCollector final : public Part {
 public:
  explicit GarbageCollector(World& world) : world_(world) {
    for (const kube::Resource& resource : collected_resources()) {
      Collection& collection = collections_.emplace_back();
      collection.resource = resource;
      collection.informer = &world.informer(resource);
      collection.controller = std::make_unique<kube::Controller>(
          world.loop, "garbage-collector",
          [this, &collection](kube::ObjectKey key) { return reconcile(collection, std::move(key)); }, 1);
      collection.informer->on_change([this, &collection](const Object* before, const Object* after) {
        changed(collection, before, after);
      });
    }
  }

  Task<void> run() override {
    const std::function<Task<void>(async::Scope&)> body = [this](async::Scope& scope) -> Task<void> {
      for (Collection& collection : collections_) {
        scope.spawn("garbage collector", collection.controller->run());
      }
      co_await scope.join();
    };
    co_await async::with_scope(world_.loop.executor(), body);
  }

 private:
  struct Collection {
    kube::Resource resource;
    kube::Informer* informer = nullptr;
    std::unique_ptr<kube::Controller> controller;
  };
  struct Dependent {
    Collection* collection;
    kube::ObjectKey key;
    bool blocks;
  };

  void changed(Collection& collection, const Object* before, const Object* after) {
    if (after) {
      const bool owned = kube::find(*after, "metadata.ownerReferences") != nullptr;
      if (owned || kube::is_being_deleted(*after)) {
        collection.controller->enqueue(kube::key_of(*after));
      }
      return;
    }
    for (const Dependent& dependent : dependents_of(std::string(kube::uid_of(*before)))) {
      dependent.collection->controller->enqueue(dependent.key);
    }
    // An owner in the foreground may have waited for this one.
    for_each_owner(*before, [&](const Object& owner) {
      if (Collection* owners = collection_of(owner)) {
        owners->controller->enqueue(
            {std::string(kube::namespace_of(*before)), std::string(find_string(owner, "name"))});
      }
    });
  }

  Collection* collection_of(const Object& owner) {
    const std::string_view kind = find_string(owner, "kind");
    const std::string_view version = find_string(owner, "apiVersion");
    const auto found = std::ranges::find_if(collections_, [&](const Collection& candidate) {
      return candidate.resource.kind == kind && candidate.resource.api_version() == version;
    });
    return found == collections_.end() ? nullptr : &*found;
  }

  std::vector<Dependent> dependents_of(const std::string& uid) {
    std::vector<Dependent> found;
    for (Collection& collection : collections_) {
      for (const auto& [key, object] : collection.informer->objects()) {
        for_each_owner(object, [&](const Object& owner) {
          if (find_string(owner, "uid") == uid) {
            found.push_back({&collection, key, find_bool(owner, "blockOwnerDeletion", false)});
          }
        });
      }
    }
    return found;
  }

  Task<Result<kube::Outcome>> reconcile(Collection& collection, kube::ObjectKey key) {
    const Object* found = collection.informer->find(key);
    if (!found) {
      co_return kube::Outcome{};
    }
    const Object object = *found;
    if (kube::is_being_deleted(object)) {
      co_return co_await release(collection, object);
    }
    co_return co_await collect(collection, object);
  }

  // Cases 2 and 3: the object is an owner on its way out.
  Task<Result<kube::Outcome>> release(const Collection& collection, const Object& object) {
    const std::string uid(kube::uid_of(object));
    if (has_finalizer(object, kOrphan)) {
      for (const Dependent& dependent : dependents_of(uid)) {
        LLMD_CO_TRY_VOID(co_await drop_references(*dependent.collection, dependent.key, {uid}));
      }
      LLMD_CO_TRY_VOID(co_await drop_finalizer(collection, object, kOrphan));
    } else if (has_finalizer(object, kForeground)) {
      bool blocked = false;
      for (const Dependent& dependent : dependents_of(uid)) {
        blocked = blocked || dependent.blocks;
        const Object* current = dependent.collection->informer->find(dependent.key);
        if (current && !kube::is_being_deleted(*current)) {
          const std::string dependent_uid(kube::uid_of(*current));
          LLMD_CO_TRY_VOID(co_await remove(*dependent.collection, dependent.key,
                                           kube::Propagation::Foreground, dependent_uid));
        }
      }
      if (!blocked) {
        LLMD_CO_TRY_VOID(co_await drop_finalizer(collection, object, kForeground));
      }
    }
    co_return kube::Outcome{};
  }

  // Case 1.
  Task<Result<kube::Outcome>> collect(const Collection& collection, const Object& object) {
    std::vector<Object> owners;
    for_each_owner(object, [&](const Object& owner) { owners.push_back(owner); });
    std::set<std::string> gone;
    for (const Object& owner : owners) {
      const std::string place(kube::namespace_of(object));
      LLMD_CO_TRY(const bool there, co_await exists(owner, place));
      if (!there) {
        gone.emplace(find_string(owner, "uid"));
      }
    }
    if (gone.empty()) {
      co_return kube::Outcome{};
    }
    const kube::ObjectKey key = kube::key_of(object);
    if (gone.size() == owners.size()) {
      const std::string uid(kube::uid_of(object));
      LLMD_CO_TRY_VOID(co_await remove(collection, key, kube::Propagation::Background, uid));
    } else {
      LLMD_CO_TRY_VOID(co_await drop_references(collection, key, gone));
    }
    co_return kube::Outcome{};
  }

  Task<Result<bool>> exists(const Object& owner, const std::string& place) {
    const std::string uid(find_string(owner, "uid"));
    const Collection* collection = collection_of(owner);
    const kube::Resource* resource =
        collection ? &collection->resource
                   : kube::find_resource(find_string(owner, "apiVersion"), find_string(owner, "kind"));
    if (!resource) {
      co_return true;  // a kind nobody here knows: not ours to judge
    }
    const kube::ObjectKey key{resource->namespaced ? place : std::string(),
                              std::string(find_string(owner, "name"))};
    const Object* cached = collection ? collection->informer->find(key) : nullptr;
    if (cached && kube::uid_of(*cached) == uid) {
      co_return true;
    }
    const auto live = co_await world_.client.get(*resource, key);
    if (!live && live.error().kind != ErrorKind::NotFound) {
      co_return std::unexpected(live.error());
    }
    co_return live&& kube::uid_of(*live) == uid;
  }

  Task<Result<void>> remove(const Collection& collection, kube::ObjectKey key, kube::Propagation propagation,
                            std::string uid) {
    auto removed =
        co_await world_.client.remove(collection.resource, std::move(key), propagation, std::move(uid));
    const bool fine =
        removed || removed.error().kind == ErrorKind::NotFound || removed.error().kind == ErrorKind::Conflict;
    co_return fine ? Result<void>() : removed;
  }

  Task<Result<void>> drop_references(const Collection& collection, kube::ObjectKey key,
                                     std::set<std::string> uids) {
    auto live = co_await world_.client.get(collection.resource, key);
    if (!live) {
      co_return live.error().kind == ErrorKind::NotFound ? Result<void>()
                                                         : std::unexpected(std::move(live.error()));
    }
    array kept;
    for_each_owner(*live, [&](const Object& owner) {
      if (!uids.contains(std::string(find_string(owner, "uid")))) {
        kept.push_back(boost::json::value(owner));
      }
    });
    kube::at(*live, "metadata.ownerReferences") = std::move(kept);
    LLMD_CO_TRY(const auto written, co_await world_.client.update(collection.resource, std::move(*live)));
    co_return Result<void>();
  }

  Task<Result<void>> drop_finalizer(const Collection& collection, const Object& object,
                                    std::string_view name) {
    auto live = co_await world_.client.get(collection.resource, kube::key_of(object));
    if (!live) {
      co_return live.error().kind == ErrorKind::NotFound ? Result<void>()
                                                         : std::unexpected(std::move(live.error()));
    }
    array kept;
    if (const array* list = find_array(*live, "metadata.finalizers")) {
      for (const auto& item : *list) {
        if (!item.is_string() || std::string_view(item.get_string()) != name) {
          kept.push_back(item);
        }
      }
    }
    kube::at(*live, "metadata.finalizers") = std::move(kept);
    LLMD_CO_TRY(const auto written, co_await world_.client.update(collection.resource, std::move(*live)));
    co_return Result<void>();
  }

  World& world_;
  std::deque<Collection> collections_;
};

}  // namespace

std::unique_ptr<Part> make_garbage_collector(World& world) {
  return std::make_unique<GarbageCollector>(world);
}

}  // namespace llmd::controllers
