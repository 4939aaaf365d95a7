#include "operator/applier.h"

#include <boost/json.hpp>

#include "base/log.h"
#include "operator/difference.h"
#include "operator/resources.h"

namespace llmd::operators {
namespace {

constexpr std::string_view kManager = "llmd-operator";

std::string name_in_set(const kube::Resource& resource, const kube::Object& object) {
  return fmt::format("{}/{}/{}", resource.group, resource.plural, kube::key_of(object).to_string());
}

std::string hash_annotation(const kube::Object& object) {
  return std::string(kube::annotation_of(object, kRenderedHash));
}

}  // namespace

Task<Result<void>> Applier::apply(const kube::Object& service, const std::vector<kube::Object>& objects,
                                  std::function<bool(const kube::Object&)> is_withheld) {
  Result<void> first;
  std::set<std::string> wanted;
  for (const kube::Object& object : objects) {
    const kube::Resource* resource = resource_of(object);
    if (resource == nullptr) {
      first = first ? internal_error("no resource for kind {}", kube::kind_of(object)) : std::move(first);
      continue;
    }
    wanted.insert(name_in_set(*resource, object));
    if (is_withheld(object)) {
      continue;
    }
    kube::Object desired = with_hash(object);
    const Result<void> applied = co_await apply_one(std::move(desired));
    if (!applied && first) {
      first = applied;
    }
  }
  const Result<void> removed = co_await remove_others(service, wanted);
  co_return first ? removed : first;
}

Task<Result<void>> Applier::apply_one(kube::Object object) {
  const kube::Resource& resource = *resource_of(object);
  const kube::ObjectKey key = kube::key_of(object);
  const std::string id = name_in_set(resource, object);
  const std::string hash = hash_annotation(object);
  if (world_.is_watched(resource)) {
    const kube::Object* live = world_.find(resource, key);
    if (live != nullptr && is_applied(object, *live)) {
      co_return Result<void>();
    }
  } else if (const auto before = written_.find(id); before != written_.end() && before->second == hash) {
    co_return Result<void>();
  }
  if (resource.namespaced) {
    LLMD_CO_TRY_VOID(co_await ensure_namespace(key.name_space));
  }
  std::string manager(kManager);
  const auto applied = co_await client_.apply(resource, std::move(object), std::move(manager));
  if (!applied && applied.error().kind == ErrorKind::NotFound && platform_ == llmisvc::Platform::Local) {
    // One machine serves fewer kinds than a cluster; what it does not have it does not need.
    log::debug("kind is not served", {{"kind", resource.kind}, {"object", key.to_string()}});
    written_[id] = hash;
    co_return Result<void>();
  }
  if (!applied) {
    Error error = applied.error();
    co_return std::unexpected(std::move(error).within(fmt::format("{} {}", resource.kind, key.to_string())));
  }
  log::debug("applied", {{"kind", resource.kind}, {"object", key.to_string()}});
  written_[id] = hash;
  co_return Result<void>();
}

Task<Result<void>> Applier::remove_others(const kube::Object& service, const std::set<std::string>& wanted) {
  struct Gone {
    const kube::Resource* resource;
    kube::ObjectKey key;
    std::string uid;
  };
  std::vector<Gone> gone;
  for (const World::Child& child : world_.children_of(kube::uid_of(service), kube::namespace_of(service))) {
    if (!wanted.contains(name_in_set(*child.resource, *child.object)) &&
        !kube::is_being_deleted(*child.object)) {
      gone.push_back({.resource = child.resource,
                      .key = kube::key_of(*child.object),
                      .uid = std::string(kube::uid_of(*child.object))});
    }
  }
  for (Gone& one : gone) {
    const auto removed =
        co_await client_.remove(*one.resource, one.key, kube::Propagation::Background, one.uid);
    if (!removed && removed.error().kind != ErrorKind::NotFound) {
      co_return removed;
    }
    log::debug("removed", {{"kind", one.resource->kind}, {"object", one.key.to_string()}});
  }
  co_return co_await remove_unwatched(service, wanted);
}

// Kinds that nobody watches are listed once per generation of the service.
Task<Result<void>> Applier::remove_unwatched(const kube::Object& service,
                                             const std::set<std::string>& wanted) {
  const kube::ObjectKey key = kube::key_of(service);
  const std::int64_t generation = kube::generation_of(service);
  if (const auto done = pruned_.find(key); done != pruned_.end() && done->second == generation) {
    co_return Result<void>();
  }
  if (platform_ == llmisvc::Platform::Cluster) {
    for (const kube::Resource& resource : unwatched_resources()) {
      kube::ListOptions options{
          .label_selector =
              "app.kubernetes.io/part-of=llminferenceservice,app.kubernetes.io/name=" + key.name,
          .field_selector = {}};
      const auto listed = co_await client_.list(resource, key.name_space, std::move(options));
      if (!listed) {
        continue;  // not served, or not allowed to look: nothing of ours is there
      }
      for (const kube::Object& object : listed->items) {
        const kube::Object* controller = kube::controller_of(object);
        const bool ours =
            controller != nullptr && kube::find_string(*controller, "uid") == kube::uid_of(service);
        if (!ours || wanted.contains(name_in_set(resource, object))) {
          continue;
        }
        written_.erase(name_in_set(resource, object));
        LLMD_CO_TRY_VOID(co_await client_.remove(resource, kube::key_of(object)));
      }
    }
  }
  pruned_[key] = generation;
  co_return Result<void>();
}

// On one machine the Gateway's namespace is nobody else's to make.
Task<Result<void>> Applier::ensure_namespace(const std::string& name) {
  if (platform_ != llmisvc::Platform::Local || name.empty() || !ensured_namespaces_.insert(name).second) {
    co_return Result<void>();
  }
  kube::Object object{{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", name}}}};
  kube::ObjectKey key{.name_space = {}, .name = name};
  const auto existing = co_await client_.get(kube::kNamespaces, std::move(key));
  if (existing || existing.error().kind != ErrorKind::NotFound) {
    co_return Result<void>();
  }
  const auto created = co_await client_.create(kube::kNamespaces, std::move(object));
  if (!created && created.error().kind != ErrorKind::AlreadyExists) {
    ensured_namespaces_.erase(name);
    co_return std::unexpected(created.error());
  }
  co_return Result<void>();
}

}  // namespace llmd::operators
