#include "controllers/garbage.h"

#include <boost/json.hpp>

#include <algorithm>

#include "base/log.h"

namespace llmd::controllers {
namespace {

constexpr std::string_view kForeground = "foregroundDeletion";

const boost::json::array* owners_of(const kube::Object& object) {
  const auto* owners = kube::find_array(object, "metadata.ownerReferences");
  return owners == nullptr || owners->empty() ? nullptr : owners;
}

bool is_owned_by(const kube::Object& object, std::string_view uid) {
  const auto* owners = owners_of(object);
  return owners != nullptr && std::ranges::any_of(*owners, [uid](const auto& owner) {
           return kube::find_string(owner.as_object(), "uid") == uid;
         });
}

bool waits_for_dependents(const kube::Object& object) {
  const auto* finalizers = kube::find_array(object, "metadata.finalizers");
  return kube::is_being_deleted(object) && finalizers != nullptr &&
         std::ranges::find(*finalizers, boost::json::value(kForeground)) != finalizers->end();
}

}  // namespace

GarbageCollector::GarbageCollector(ClusterView& view)
    : view_(view),
      controller_(view.loop(), "garbage", [this](kube::ObjectKey key) { return reconcile(std::move(key)); }) {
  view.on_any_change(
      [this](const kube::Resource& resource, const kube::Object* before, const kube::Object* after) {
        if (after == nullptr || waits_for_dependents(*after)) {
          enqueue_dependents(kube::uid_of(after == nullptr ? *before : *after));
        }
        if (after != nullptr && (owners_of(*after) != nullptr || waits_for_dependents(*after))) {
          enqueue(resource, *after);
        }
        // The last dependent of a foreground deletion sets its owner free.
        const kube::Object& object = after != nullptr ? *after : *before;
        if (const auto* owners = after == nullptr ? owners_of(object) : nullptr) {
          for (const auto& owner : *owners) {
            const auto* kind = kube::find_resource(kube::find_string(owner.as_object(), "apiVersion"),
                                                   kube::find_string(owner.as_object(), "kind"));
            if (kind != nullptr) {
              controller_.enqueue(
                  {kind->namespaced ? std::string(kube::namespace_of(object)) : std::string(),
                   fmt::format("{}/{}", kind->plural, kube::find_string(owner.as_object(), "name"))});
            }
          }
        }
      });
}

void GarbageCollector::enqueue(const kube::Resource& resource, const kube::Object& object) {
  controller_.enqueue({std::string(kube::namespace_of(object)),
                       fmt::format("{}/{}", resource.plural, kube::name_of(object))});
}

void GarbageCollector::enqueue_dependents(std::string_view owner_uid) {
  for (const kube::Resource& resource : kube::known_resources()) {
    if (resource == kube::kEvents) {
      continue;
    }
    for (const auto& [key, object] : view_.of(resource).objects()) {
      if (is_owned_by(object, owner_uid)) {
        enqueue(resource, object);
      }
    }
  }
}

Task<Result<bool>> GarbageCollector::owner_is_gone(const kube::Object& dependent,
                                                   const kube::Object& reference) {
  const auto* resource =
      kube::find_resource(kube::find_string(reference, "apiVersion"), kube::find_string(reference, "kind"));
  if (resource == nullptr) {
    co_return false;  // not ours to judge
  }
  kube::ObjectKey key{resource->namespaced ? std::string(kube::namespace_of(dependent)) : std::string(),
                      std::string(kube::find_string(reference, "name"))};
  const auto uid = kube::find_string(reference, "uid");
  const auto* known = view_.of(*resource).find(key);
  if (known != nullptr && kube::uid_of(*known) == uid) {
    co_return waits_for_dependents(*known);
  }
  // Informers of different kinds run apart: ask before anything is deleted.
  const auto owner = co_await view_.client().get(*resource, std::move(key));
  if (owner) {
    co_return kube::uid_of(*owner) != uid;
  }
  if (owner.error().kind == ErrorKind::NotFound) {
    co_return true;
  }
  co_return std::unexpected(owner.error());
}

Task<Result<bool>> GarbageCollector::all_owners_gone(const kube::Object& dependent) {
  for (const auto& reference : *owners_of(dependent)) {
    LLMD_CO_TRY(const bool gone, co_await owner_is_gone(dependent, reference.as_object()));
    if (!gone) {
      co_return false;
    }
  }
  co_return true;
}

Task<Result<kube::Outcome>> GarbageCollector::finish_foreground(const kube::Resource& resource,
                                                                kube::Object owner) {
  for (const kube::Resource& kind : kube::known_resources()) {
    if (kind == kube::kEvents) {
      continue;
    }
    for (const auto& [key, object] : view_.of(kind).objects()) {
      if (is_owned_by(object, kube::uid_of(owner))) {
        co_return kube::Outcome{};  // its deletion will bring us back
      }
    }
  }
  auto& finalizers = kube::at(owner, "metadata.finalizers").as_array();
  finalizers.erase(std::ranges::find(finalizers, boost::json::value(kForeground)));
  kube::Object patch;
  kube::at(patch, "metadata.finalizers") = finalizers;
  const auto released = co_await view_.client().merge_patch(resource, kube::key_of(owner), std::move(patch));
  if (!released && released.error().kind != ErrorKind::NotFound) {
    co_return std::unexpected(released.error());
  }
  co_return kube::Outcome{};
}

Task<Result<kube::Outcome>> GarbageCollector::reconcile(kube::ObjectKey key) {
  const auto slash = key.name.find('/');
  const std::string plural = key.name.substr(0, slash);
  const auto resources = kube::known_resources();
  const auto resource = std::ranges::find(resources, std::string_view(plural), &kube::Resource::plural);
  kube::ObjectKey object_key{key.name_space, key.name.substr(slash + 1)};
  const auto* found = resource == resources.end() ? nullptr : view_.of(*resource).find(object_key);
  if (found == nullptr) {
    co_return kube::Outcome{};
  }
  const kube::Object object = *found;
  if (waits_for_dependents(object)) {
    co_return co_await finish_foreground(*resource, object);
  }
  if (owners_of(object) == nullptr || kube::is_being_deleted(object)) {
    co_return kube::Outcome{};
  }
  LLMD_CO_TRY(const bool orphaned, co_await all_owners_gone(object));
  if (!orphaned) {
    co_return kube::Outcome{};
  }
  const auto removed = co_await view_.client().remove(
      *resource, std::move(object_key), kube::Propagation::Background, std::string(kube::uid_of(object)));
  if (!removed && removed.error().kind != ErrorKind::NotFound &&
      removed.error().kind != ErrorKind::Conflict) {
    co_return std::unexpected(removed.error());
  }
  co_return kube::Outcome{};
}

}  // namespace llmd::controllers
