// Namespaces: each gets its default service account; a terminating one is emptied and then let go. Old events
// are cleaned up here too, since they are what fills a namespace without anybody asking.
#include <boost/json/array.hpp>

#include "async/deadline.h"
#include "base/log.h"
#include "controllers/world.h"

namespace llmd::controllers {

namespace {

using kube::find_string;
using kube::Object;

constexpr Duration kEventLifetime = std::chrono::hours(1);
constexpr Duration kCleaningPeriod = std::chrono::minutes(10);
constexpr Duration kEmptyingPeriod = std::chrono::seconds(1);

class NamespaceController final : public Part {
 public:
  explicit NamespaceController(World& world)
      : world_(world),
        namespaces_(world.informer(kube::kNamespaces)),
        accounts_(world.informer(kube::kServiceAccounts)),
        controller_(
            world.loop, "namespace", [this](kube::ObjectKey key) { return reconcile(std::move(key)); }, 2) {
    namespaces_.on_change([this](const Object* before, const Object* after) {
      controller_.enqueue(kube::key_of(after ? *after : *before));
    });
    accounts_.on_change([this](const Object* before, const Object* after) {
      if (!after) {
        controller_.enqueue({"", std::string(kube::namespace_of(*before))});
      }
    });
  }

  Task<void> run() override {
    const std::function<Task<void>(async::Scope&)> body = [this](async::Scope& scope) -> Task<void> {
      scope.spawn("event cleaner", clean_events());
      co_await controller_.run();
    };
    co_await async::with_scope(world_.loop.executor(), body);
  }

 private:
  Task<Result<kube::Outcome>> reconcile(kube::ObjectKey key) {
    const Object* found = namespaces_.find(key);
    if (!found) {
      co_return kube::Outcome{};
    }
    if (kube::is_being_deleted(*found)) {
      co_return co_await empty(key.name);
    }
    if (!accounts_.find({key.name, "default"})) {
      Object account{{"apiVersion", "v1"}, {"kind", "ServiceAccount"}};
      account["metadata"] = {{"name", "default"}, {"namespace", key.name}};
      auto made = co_await world_.client.create(kube::kServiceAccounts, std::move(account));
      if (!made && made.error().kind != ErrorKind::AlreadyExists) {
        co_return std::unexpected(std::move(made.error()));
      }
    }
    co_return kube::Outcome{};
  }

  // Deletes what is left and looks again until nothing is: pods need their grace, finalizers their owners.
  Task<Result<kube::Outcome>> empty(std::string name) {
    std::size_t left = 0;
    for (const kube::Resource& resource : collected_resources()) {
      LLMD_CO_TRY(const auto objects, co_await world_.client.list(resource, name));
      left += objects.items.size();
      for (const Object& object : objects.items) {
        if (kube::is_being_deleted(object)) {
          continue;
        }
        auto removed = co_await world_.client.remove(resource, kube::key_of(object));
        if (!removed && removed.error().kind != ErrorKind::NotFound) {
          co_return std::unexpected(std::move(removed.error()));
        }
      }
    }
    if (left > 0) {
      co_return kube::Outcome{kEmptyingPeriod};
    }
    LLMD_CO_TRY_VOID(co_await remove_events(name, std::chrono::seconds(0)));
    Object patch;
    kube::at(patch, "spec.finalizers").emplace_array();
    auto done =
        co_await world_.client.merge_patch(kube::kNamespaces, {"", name}, std::move(patch), "finalize");
    if (!done && done.error().kind != ErrorKind::NotFound) {
      co_return std::unexpected(std::move(done.error()));
    }
    co_return kube::Outcome{};
  }

  Task<Result<void>> remove_events(std::string place, Duration older_than) {
    LLMD_CO_TRY(const auto events, co_await world_.client.list(kube::kEvents, place));
    for (const Object& event : events.items) {
      std::string_view last = find_string(event, "lastTimestamp");
      last = last.empty() ? find_string(event, "metadata.creationTimestamp") : last;
      const auto time = parse_rfc3339(last);
      if (time && system_clock().wall_now() - *time < older_than) {
        continue;
      }
      auto removed = co_await world_.client.remove(kube::kEvents, kube::key_of(event));
      if (!removed && removed.error().kind != ErrorKind::NotFound) {
        co_return removed;
      }
    }
    co_return Result<void>();
  }

  Task<void> clean_events() {
    while (true) {
      co_await async::sleep(kCleaningPeriod);
      const auto cleaned = co_await remove_events("", kEventLifetime);
      if (!cleaned) {
        log::debug("events not cleaned up", {{"error", cleaned.error().message}});
      }
    }
  }

  World& world_;
  kube::Informer& namespaces_;
  kube::Informer& accounts_;
  kube::Controller controller_;
};

}  // namespace

std::unique_ptr<Part> make_namespace_controller(World& world) {
  return std::make_unique<NamespaceController>(world);
}

}  // namespace llmd::controllers
