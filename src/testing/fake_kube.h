// An API server in memory, for tests of controllers: objects with resourceVersion, uid and generation,
// watches, a merge in place of real server-side apply, and a count of the writes. One loop.
#pragma once

#include <boost/json.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "async/event.h"
#include "json/patch.h"
#include "kube/client.h"

namespace llmd::testing {

class FakeKube : public kube::Client {
 public:
  explicit FakeKube(async::EventLoop& loop) : changed_(loop.executor()) {}

  int writes = 0;  // creates, updates, applies, patches and removals that changed something or not
  // Kinds whose definitions are not installed: "group/plural".
  std::set<std::string> absent_kinds = {};

  // Completes when nobody has asked for anything or been told anything for so many turns of the loop that all
  // who react to this server have: what they do now waits for a clock or for the outside.
  Task<void> settled(async::EventLoop& loop) {
    constexpr int kTurns = 100;
    long long last = traffic_;
    for (int quiet = 0; quiet < kTurns; ++quiet) {
      async::Event turn(loop.executor());
      loop.post([&turn] { turn.set(); });
      co_await turn.wait();
      if (traffic_ != last) {
        last = traffic_;
        quiet = 0;
      }
    }
  }

  // What a user or another controller does; not counted.
  void put(const kube::Resource& resource, kube::Object object) {
    (void)store(resource, std::move(object), false);
  }
  void erase(const kube::Resource& resource, const kube::ObjectKey& key) { (void)drop(resource, key); }
  const kube::Object* find(const kube::Resource& resource, const kube::ObjectKey& key) const {
    const auto found = objects_.find({name_of(resource), key});
    return found == objects_.end() ? nullptr : &found->second;
  }
  // Changes an object in place as its own controller would (status of a Deployment).
  void modify(const kube::Resource& resource, const kube::ObjectKey& key,
              const std::function<void(kube::Object&)>& change) {
    kube::Object copy = *find(resource, key);
    change(copy);
    (void)store(resource, std::move(copy), true);
  }

  Task<Result<kube::Object>> get(const kube::Resource& resource, kube::ObjectKey key) override {
    ++traffic_;
    const kube::Object* found = find(resource, key);
    if (found == nullptr) {
      co_return not_found("{} {}", resource.plural, key.to_string());
    }
    co_return *found;
  }
  Task<Result<kube::List>> list(const kube::Resource& resource, std::string name_space,
                                kube::ListOptions /*options*/) override {
    ++traffic_;
    if (absent_kinds.contains(name_of(resource))) {
      co_return not_found("the server could not find the requested resource");
    }
    kube::List result{.items = {}, .resource_version = std::to_string(version_)};
    for (const auto& [id, object] : objects_) {
      if (id.first == name_of(resource) && (name_space.empty() || id.second.name_space == name_space)) {
        result.items.push_back(object);
      }
    }
    co_return result;
  }
  Task<Result<kube::Object>> create(const kube::Resource& resource, kube::Object object) override {
    count_write();
    if (find(resource, kube::key_of(object)) != nullptr) {
      co_return already_exists("{}", kube::name_of(object));
    }
    co_return store(resource, std::move(object), false);
  }
  Task<Result<kube::Object>> update(const kube::Resource& resource, kube::Object object) override {
    count_write();
    co_return store(resource, std::move(object), false);
  }
  Task<Result<kube::Object>> update_status(const kube::Resource& resource, kube::Object object) override {
    count_write();
    const kube::Object* live = find(resource, kube::key_of(object));
    if (live == nullptr) {
      co_return not_found("{}", kube::name_of(object));
    }
    if (kube::resource_version_of(*live) != kube::resource_version_of(object)) {
      co_return conflict("{} has changed", kube::name_of(object));
    }
    kube::Object copy = *live;
    copy["status"] = object["status"];
    co_return store(resource, std::move(copy), true);
  }
  Task<Result<kube::Object>> apply(const kube::Resource& resource, kube::Object object,
                                   std::string /*manager*/) override {
    count_write();
    if (absent_kinds.contains(name_of(resource))) {
      co_return not_found("the server could not find the requested resource");
    }
    const kube::Object* live = find(resource, kube::key_of(object));
    boost::json::value merged(live != nullptr ? *live : kube::Object());
    json::apply_merge_patch(merged, boost::json::value(object));
    co_return store(resource, std::move(merged.get_object()), false);
  }
  Task<Result<kube::Object>> apply_status(const kube::Resource& resource, kube::Object object,
                                          std::string /*manager*/) override {
    co_return co_await update_status(resource, std::move(object));
  }
  Task<Result<kube::Object>> merge_patch(const kube::Resource& resource, kube::ObjectKey key,
                                         kube::Object patch, std::string /*subresource*/) override {
    count_write();
    const kube::Object* live = find(resource, key);
    if (live == nullptr) {
      co_return not_found("{} {}", resource.plural, key.to_string());
    }
    boost::json::value merged(*live);
    json::apply_merge_patch(merged, boost::json::value(patch));
    co_return store(resource, std::move(merged.get_object()), false);
  }
  Task<Result<void>> remove(const kube::Resource& resource, kube::ObjectKey key, kube::Propagation /*how*/,
                            std::string /*uid*/, std::optional<int> /*grace_period_seconds*/) override {
    count_write();
    if (!drop(resource, key)) {
      co_return not_found("{} {}", resource.plural, key.to_string());
    }
    co_return Result<void>();
  }
  Task<Result<std::string>> watch(const kube::Resource& resource, std::string name_space,
                                  kube::ListOptions /*options*/, std::string resource_version,
                                  std::function<void(kube::WatchEvent)> on_event) override {
    long long seen = std::stoll(resource_version);
    while (true) {
      const std::size_t count = events_.size();
      for (std::size_t i = 0; i < count; ++i) {
        const Logged event = events_[i];
        if (event.version > seen && event.resource == name_of(resource) &&
            (name_space.empty() || kube::namespace_of(event.object) == name_space)) {
          seen = event.version;
          ++traffic_;
          on_event({.type = event.type, .object = event.object});
        }
      }
      if (events_.size() == count) {
        changed_.reset();
        co_await changed_.wait();
      }
    }
  }

 private:
  void count_write() {
    ++writes;
    ++traffic_;
  }

  struct Logged {
    long long version;
    std::string resource;
    kube::WatchType type;
    kube::Object object;
  };

  static std::string name_of(const kube::Resource& resource) {
    return std::string(resource.group) + "/" + std::string(resource.plural);
  }

  kube::Object store(const kube::Resource& resource, kube::Object object, bool only_status) {
    const std::pair id{name_of(resource), kube::key_of(object)};
    const auto found = objects_.find(id);
    const bool exists = found != objects_.end();
    auto& metadata = object["metadata"].as_object();
    if (exists) {
      metadata["uid"] = found->second.at("metadata").at("uid");
      const auto generation = kube::generation_of(found->second);
      const bool same_spec = object.contains("spec") == found->second.contains("spec") &&
                             (!object.contains("spec") || object.at("spec") == found->second.at("spec"));
      metadata["generation"] = generation + (only_status || same_spec ? 0 : 1);
      if (!object.contains("status") && found->second.contains("status")) {
        object["status"] = found->second.at("status");
      }
    } else {
      metadata["uid"] = "uid-" + std::to_string(version_ + 1);
      metadata["generation"] = 1;
    }
    metadata["resourceVersion"] = exists ? found->second.at("metadata").at("resourceVersion") : "";
    if (exists && object == found->second) {
      return object;  // nothing changed: no new version, no event
    }
    metadata["resourceVersion"] = std::to_string(++version_);
    objects_[id] = object;
    log(resource, exists ? kube::WatchType::Modified : kube::WatchType::Added, object);
    return object;
  }

  bool drop(const kube::Resource& resource, const kube::ObjectKey& key) {
    const auto found = objects_.find({name_of(resource), key});
    if (found == objects_.end()) {
      return false;
    }
    const kube::Object object = found->second;
    objects_.erase(found);
    ++version_;
    log(resource, kube::WatchType::Deleted, object);
    return true;
  }

  void log(const kube::Resource& resource, kube::WatchType type, const kube::Object& object) {
    events_.push_back({version_, name_of(resource), type, object});
    changed_.set();
  }

  std::map<std::pair<std::string, kube::ObjectKey>, kube::Object> objects_;
  std::vector<Logged> events_;
  long long version_ = 1;
  long long traffic_ = 0;  // calls, and events that were delivered
  async::Event changed_;
};

}  // namespace llmd::testing
