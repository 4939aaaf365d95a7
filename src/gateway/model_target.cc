#include "gateway/model_target.h"

#include <boost/json/value.hpp>

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "gateway/backends.h"
#include "gateway/endpoints.h"
#include "gateway/fields.h"
#include "gateway/kinds.h"

namespace llmd::gateway {
namespace {

using kube::annotation_of;
using kube::find_int;
using kube::find_object;
using kube::find_string;
using kube::label_of;

constexpr std::array<std::string_view, 2> kEngineLabels{"llm-d.ai/engine-type",
                                                        "inference.networking.k8s.io/engine-type"};
constexpr std::array<std::string_view, 2> kServingLabels{"llm-d.ai/inference-serving",
                                                         "llm-d.ai/inferenceServing"};
constexpr std::array<std::string_view, 4> kServingRoles{"decode", "both", "prefill-decode",
                                                        "encode-prefill-decode"};

std::string text(std::string_view view) {
  return std::string(view);
}

// Said by a label or an annotation, whichever is there.
std::string_view said(const kube::Object& object, std::string_view key) {
  const std::string_view label = label_of(object, key);
  return label.empty() ? annotation_of(object, key) : label;
}

std::string_view first_label(const kube::Object& object, std::span<const std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (const std::string_view value = label_of(object, key); !value.empty()) {
      return value;
    }
  }
  return {};
}

void describe(const kube::Object& object, ModelTarget& target) {
  target.owner = said(object, "llmd.dev/owned-by");
  target.engine = first_label(object, kEngineLabels);
  for (const std::string_view name : split(annotation_of(object, "llmd.dev/models"), ',')) {
    if (!trim(name).empty()) {
      target.models.emplace_back(trim(name));
    }
  }
}

bool selects_serving_pods(const kube::Object& service) {
  const kube::Object* selector = find_object(service, "spec.selector");
  return selector != nullptr && std::ranges::any_of(kServingLabels, [&](std::string_view key) {
           const auto* value = selector->if_contains(key);
           return value != nullptr && value->is_string() && std::string_view(value->get_string()) == "true";
         });
}

bool is_pool_gateway(std::string_view name) {
  return name.starts_with("infra-") && name.find("-inference-gateway") != std::string_view::npos;
}

// Istio's headless Service behind a pool: POOL-ip-HASH.
bool is_pool_shadow(std::string_view name) {
  const std::size_t at = name.rfind("-ip-");
  return at != std::string_view::npos && name.size() == at + 12 &&
         name.substr(at + 4).find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

class Builder {
 public:
  Builder(const RouteObjects& objects, bool external_pickers)
      : objects_(objects), lookup_(objects), backends_(objects, lookup_, external_pickers) {}

  std::vector<ModelTarget> build() {
    for (const auto* pools : {&objects_.pools, &objects_.older_pools}) {
      for (const kube::Object* pool : *pools) {
        add_pool(*pool);
      }
    }
    for (const kube::Object* service : objects_.services) {
      for (const kube::Object* port : objects_in(*service, "spec.ports")) {
        add_service(*service, *port);
      }
    }
    for (const kube::Object* pod : objects_.pods) {
      add_pod(*pod);
    }
    speak_to_pods_as_to_services();
    return std::move(targets_);
  }

 private:
  void add_pool(const kube::Object& pool) {
    ModelTarget target;
    const bool older = kube::api_version_of(pool).starts_with(kOlderPoolGroup);
    target.key = fmt::format("InferencePool/{}{}", kube::key_of(pool).to_string(), older ? "/v1alpha2" : "");
    target.via = Via::Pool;
    describe(pool, target);
    declare(pool, target);
    auto list = endpoints_of_pool(pool, objects_.pods);
    target.endpoints = std::move(list.ready);
    target.not_ready = list.not_ready;
    target.priorities = priorities_of(pool, objects_.objectives);
    target.protocol = Backends::protocol_of_pool(pool);
    if (const auto external = backends_.picker_of(pool).external) {
      target.external = *external;
    }
    targets_.push_back(std::move(target));
  }

  // Names that an LLMInferenceService gives to what this object serves.
  void declare(const kube::Object& object, ModelTarget& target) const {
    const std::string_view name = label_of(object, "app.kubernetes.io/name");
    for (const kube::Object* service : objects_.llm_services) {
      if (kube::namespace_of(*service) != kube::namespace_of(object) || kube::name_of(*service) != name ||
          label_of(object, "app.kubernetes.io/part-of") != "llminferenceservice") {
        continue;
      }
      const std::string_view model = find_string(*service, "spec.model.name");
      target.models.emplace_back(model.empty() ? name : model);
      for (const kube::Object* adapter : objects_in(*service, "spec.model.lora.adapters")) {
        if (const std::string_view adapter_name = find_string(*adapter, "name"); !adapter_name.empty()) {
          target.models.emplace_back(adapter_name);
        }
      }
    }
  }

  void add_service(const kube::Object& service, const kube::Object& port) {
    const std::string_view name = kube::name_of(service);
    const std::int64_t number = find_int(port, "port", 0);
    if (is_pool_shadow(name) || number == 0) {
      return;
    }
    ModelTarget target;
    target.key = fmt::format("{}/{}:{}", kube::namespace_of(service), name, number);
    target.via = is_pool_gateway(name) ? Via::Pool : Via::Service;
    const bool workload = label_of(service, "app.kubernetes.io/part-of") == "llminferenceservice" &&
                          name.ends_with("-kserve-workload-svc");
    target.discovered = target.via == Via::Pool || workload || said(service, "llmd.dev/unified") == "true" ||
                        first_label(service, kServingLabels) == "true" || selects_serving_pods(service);
    describe(service, target);
    declare(service, target);
    auto list = endpoints_of(lookup_.slices(kube::namespace_of(service), name), find_string(port, "name"));
    target.endpoints = std::move(list.ready);
    target.not_ready = list.not_ready;
    // Without slices (a list of Services alone) the cluster's own balancing stands in.
    const std::string_view cluster_ip = find_string(service, "spec.clusterIP");
    if (target.endpoints.empty() && target.not_ready == 0 && target.via == Via::Pool && !cluster_ip.empty() &&
        cluster_ip != "None") {
      target.endpoints.push_back({.address = {text(cluster_ip), static_cast<std::uint16_t>(number)},
                                  .name = text(name),
                                  .labels = {}});
    }
    auto spoken = backends_.protocol_of(service, port);
    target.protocol = std::move(spoken.protocol);
    if (!spoken.problem.empty()) {
      target.endpoints.clear();
      target.not_ready = 0;
    }
    targets_.push_back(std::move(target));
  }

  void add_pod(const kube::Object& pod) {
    if (std::ranges::find(kServingRoles, label_of(pod, "llm-d.ai/role")) == kServingRoles.end()) {
      return;
    }
    ModelTarget target;
    target.key = "pod " + kube::key_of(pod).to_string();
    target.via = Via::Pod;
    describe(pod, target);
    if (is_ready(pod) && !kube::is_being_deleted(pod)) {
      target.endpoints.push_back(endpoint_of(pod, port_of(pod)));
    } else {
      ++target.not_ready;
    }
    targets_.push_back(std::move(target));
  }

  void speak_to_pods_as_to_services() {
    std::map<net::Address, BackendProtocol> known;
    for (const ModelTarget& target : targets_) {
      for (const picker::Endpoint& endpoint : target.endpoints) {
        if (target.protocol != BackendProtocol()) {
          known.emplace(endpoint.address, target.protocol);
        }
      }
    }
    for (ModelTarget& target : targets_) {
      if (target.via == Via::Pod && !target.endpoints.empty()) {
        if (const auto found = known.find(target.endpoints.front().address); found != known.end()) {
          target.protocol = found->second;
        }
      }
    }
  }

  // The first declared port that is not the engine's behind a sidecar; 8000 by convention.
  static std::uint16_t port_of(const kube::Object& pod) {
    for (const char* containers : {"spec.initContainers", "spec.containers"}) {
      for (const kube::Object* container : objects_in(pod, containers)) {
        for (const kube::Object* port : objects_in(*container, "ports")) {
          const std::string_view name = find_string(*port, "name");
          if (name.empty() || name == "http" || name == "https" || name == "sidecar") {
            return static_cast<std::uint16_t>(find_int(*port, "containerPort", 8000));
          }
        }
      }
    }
    return 8000;
  }

  const RouteObjects& objects_;
  const Lookup lookup_;
  const Backends backends_;
  std::vector<ModelTarget> targets_;
};

}  // namespace

std::string_view to_string(Via via) {
  constexpr std::array<std::string_view, 4> kNames{"manual", "pool", "service", "pod"};
  return kNames[static_cast<std::size_t>(via)];
}

std::vector<ModelTarget> build_model_targets(const RouteObjects& objects, bool external_pickers) {
  return Builder(objects, external_pickers).build();
}

void add_route_backends(const RouteTable& table, std::vector<ModelTarget>& targets) {
  for (const auto& [key, backend] : table.backends) {
    const auto known = std::ranges::find(targets, key, &ModelTarget::key);
    if (known != targets.end()) {
      known->discovered = true;
      continue;
    }
    ModelTarget target;
    target.key = key;
    target.endpoints = backend.ready;
    target.not_ready = backend.not_ready;
    target.priorities = backend.priorities;
    target.protocol = backend.protocol;
    if (backend.external) {
      target.external = *backend.external;
    }
    targets.push_back(std::move(target));
  }
}

}  // namespace llmd::gateway
