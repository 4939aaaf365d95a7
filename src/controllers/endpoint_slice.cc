// EndpointSlices of services with a selector: the addresses of their pods, and which of them answer.
#include <boost/json/array.hpp>

#include <algorithm>

#include "controllers/pods.h"
#include "controllers/slices.h"
#include "controllers/world.h"

namespace llmd::controllers {

namespace {

using kube::find_object;
using kube::find_string;
using kube::Object;

constexpr std::string_view kServiceLabel = "kubernetes.io/service-name";
constexpr std::string_view kManagedBy = "endpointslice-controller.k8s.io";

class EndpointSliceController final : public Part {
 public:
  explicit EndpointSliceController(World& world)
      : world_(world),
        services_(world.informer(kube::kServices)),
        pods_(world.informer(kube::kPods)),
        controller_(world.loop, "endpointslice",
                    [this](kube::ObjectKey key) { return reconcile(std::move(key)); }) {
    services_.on_change([this](const Object* before, const Object* after) {
      controller_.enqueue(kube::key_of(after ? *after : *before));
    });
    pods_.on_change([this](const Object* before, const Object* after) {
      // Only what endpoints are made of wakes services up, not every heartbeat of a pod.
      if (before && after && endpoint_facts(*before) == endpoint_facts(*after)) {
        return;
      }
      for (const Object* pod : {before, after}) {
        if (pod) {
          wake_services_of(*pod);
        }
      }
    });
    world.informer(kube::kEndpointSlices).on_change([this](const Object* before, const Object* after) {
      const Object& slice = after ? *after : *before;
      const std::string_view service = kube::label_of(slice, kServiceLabel);
      if (!service.empty()) {
        controller_.enqueue({std::string(kube::namespace_of(slice)), std::string(service)});
      }
    });
  }

  Task<void> run() override { return controller_.run(); }

 private:
  void wake_services_of(const Object& pod) {
    for (const auto& [key, service] : services_.objects()) {
      if (key.name_space == kube::namespace_of(pod) && selects(service, pod)) {
        controller_.enqueue(key);
      }
    }
  }

  Task<Result<kube::Outcome>> reconcile(kube::ObjectKey key) {
    const Object* found = services_.find(key);
    if (!found || kube::is_being_deleted(*found) || !has_selector(*found)) {
      co_return kube::Outcome{};  // slices go with their service
    }
    const Object service = *found;
    kube::ListOptions options;
    options.label_selector =
        fmt::format("{}={},endpointslice.kubernetes.io/managed-by={}", kServiceLabel, key.name, kManagedBy);
    LLMD_CO_TRY(auto existing, co_await world_.client.list(kube::kEndpointSlices, key.name_space, options));
    std::vector<const Object*> chosen;
    for (const auto& [pod_key, pod] : pods_.objects()) {
      if (pod_key.name_space == key.name_space && selects(service, pod)) {
        chosen.push_back(&pod);
      }
    }
    std::vector<Object> wanted = slices_of(service, chosen);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (i >= existing.items.size()) {
        LLMD_CO_TRY(const auto made,
                    co_await world_.client.create(kube::kEndpointSlices, std::move(wanted[i])));
      } else {
        LLMD_CO_TRY_VOID(co_await replace(existing.items[i], std::move(wanted[i])));
      }
    }
    for (std::size_t i = wanted.size(); i < existing.items.size(); ++i) {
      auto removed = co_await world_.client.remove(kube::kEndpointSlices, kube::key_of(existing.items[i]));
      if (!removed && removed.error().kind != ErrorKind::NotFound) {
        co_return std::unexpected(std::move(removed.error()));
      }
    }
    co_return kube::Outcome{};
  }

  Task<Result<void>> replace(const Object& old, Object wanted) {
    Object next = old;
    next["endpoints"] = std::move(wanted["endpoints"]);
    next["ports"] = std::move(wanted["ports"]);
    if (next != old) {
      LLMD_CO_TRY(const auto written, co_await world_.client.update(kube::kEndpointSlices, std::move(next)));
    }
    co_return Result<void>();
  }

  World& world_;
  kube::Informer& services_;
  kube::Informer& pods_;
  kube::Controller controller_;
};

}  // namespace

std::unique_ptr<Part> make_endpoint_slice_controller(World& world) {
  return std::make_unique<EndpointSliceController>(world);
}

}  // namespace llmd::controllers
