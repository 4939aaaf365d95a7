#include "llmisvc/service.h"

#include <algorithm>

#include "base/strings.h"
#include "json/path.h"

namespace llmd::llmisvc {
namespace {

std::string text_at(const json::Value& root, std::string_view path) {
  return std::string(json::string_at(root, path).value_or(""));
}

std::optional<long long> integer_at(const json::Value& root, std::string_view path) {
  const auto number = json::int_at(root, path);
  return number ? std::optional<long long>(*number) : std::nullopt;
}

std::optional<json::Object> optional_object(const json::Value& root, std::string_view path) {
  const auto* object = json::object_at(root, path);
  return object != nullptr ? std::optional<json::Object>(*object) : std::nullopt;
}

json::Object object_or_empty(const json::Value& root, std::string_view path) {
  return optional_object(root, path).value_or(json::Object());
}

Parallelism parallelism_of(const json::Value& workload) {
  return {.tensor = integer_at(workload, "parallelism.tensor"),
          .pipeline = integer_at(workload, "parallelism.pipeline"),
          .data = integer_at(workload, "parallelism.data"),
          .data_local = integer_at(workload, "parallelism.dataLocal"),
          .data_rpc_port = integer_at(workload, "parallelism.dataRPCPort"),
          .expert = json::bool_at(workload, "parallelism.expert").value_or(false)};
}

Workload workload_of(const json::Value& value, std::string path) {
  return {.path = std::move(path),
          .replicas = integer_at(value, "replicas"),
          .parallelism = parallelism_of(value),
          .labels = object_or_empty(value, "labels"),
          .annotations = object_or_empty(value, "annotations"),
          .pod = optional_object(value, "template"),
          .worker = optional_object(value, "worker"),
          .scaling = optional_object(value, "scaling"),
          .kv_cache = optional_object(value, "kvCacheOffloading")};
}

Model model_of(const json::Value& spec, const std::string& service_name) {
  Model model{.uri = text_at(spec, "model.uri"), .name = text_at(spec, "model.name")};
  if (model.name.empty()) {
    model.name = service_name;
  }
  model.criticality = text_at(spec, "model.criticality");
  if (model.criticality == "Normal") {
    model.criticality = "Standard";
  }
  if (const auto* adapters = json::array_at(spec, "model.lora.adapters")) {
    for (const json::Value& adapter : *adapters) {
      model.adapters.push_back({.name = text_at(adapter, "name"), .uri = text_at(adapter, "uri")});
    }
    std::ranges::sort(model.adapters, {}, &Adapter::name);
  }
  model.lora_max_rank = integer_at(spec, "model.lora.maxRank");
  model.lora_max_adapters = integer_at(spec, "model.lora.maxAdapters");
  model.lora_max_cpu_adapters = integer_at(spec, "model.lora.maxCpuAdapters");
  return model;
}

std::vector<Reference> references_at(const json::Value& root, std::string_view path) {
  std::vector<Reference> result;
  if (const auto* list = json::array_at(root, path)) {
    for (const json::Value& item : *list) {
      result.push_back({.name_space = text_at(item, "namespace"),
                        .name = text_at(item, "name"),
                        .section = text_at(item, "sectionName")});
    }
  }
  return result;
}

Scheduler scheduler_of(const json::Value& value) {
  Scheduler scheduler{.pool_spec = optional_object(value, "pool.spec"),
                      .pod = optional_object(value, "template"),
                      .labels = object_or_empty(value, "labels"),
                      .annotations = object_or_empty(value, "annotations"),
                      .replicas = integer_at(value, "replicas")};
  if (const auto name = json::string_at(value, "pool.ref.name")) {
    scheduler.pool_ref = std::string(*name);
  }
  if (const auto* config = json::find(value, "config.inline"); config != nullptr && !config->is_null()) {
    scheduler.config = *config;
  }
  return scheduler;
}

Router router_of(const json::Value& value) {
  Router router{.has_gateway = json::object_at(value, "gateway") != nullptr,
                .gateways = references_at(value, "gateway.refs"),
                .has_route = json::object_at(value, "route") != nullptr,
                .route_spec = optional_object(value, "route.http.spec"),
                .ingresses = references_at(value, "ingress.refs"),
                .has_ingress = json::object_at(value, "ingress") != nullptr};
  for (const Reference& reference : references_at(value, "route.http.refs")) {
    router.routes.push_back(reference.name);
  }
  if (const auto* scheduler = json::find(value, "scheduler");
      scheduler != nullptr && scheduler->is_object()) {
    router.scheduler = scheduler_of(*scheduler);
  }
  return router;
}

}  // namespace

std::optional<long long> Parallelism::group_size() const {
  if (is_data_parallel()) {
    return std::max(data.value_or(1) / std::max(data_local.value_or(1), 1LL), 1LL);
  }
  return pipeline;
}

long long Parallelism::accelerators_per_pod(bool multi_node) const {
  return tensor.value_or(1) * data_local.value_or(1) * (multi_node ? 1 : pipeline.value_or(1));
}

Service view_of(const json::Object& object) {
  const json::Value root(object);
  Service service{.api_version = text_at(root, "apiVersion"),
                  .name = text_at(root, "metadata.name"),
                  .name_space = text_at(root, "metadata.namespace"),
                  .uid = text_at(root, "metadata.uid"),
                  .metadata = object_or_empty(root, "metadata"),
                  .model = {},
                  .main = {},
                  .spec = object_or_empty(root, "spec")};
  if (service.name_space.empty()) {
    service.name_space = "default";
  }
  const auto stop = json::string_at(root, "metadata.annotations[serving.kserve.io/stop]");
  service.stopped = stop && equals_ignoring_case(*stop, "true");
  const json::Value spec(service.spec);
  service.mounts_model = json::bool_at(spec, "storageInitializer.enabled").value_or(true);
  service.model = model_of(spec, service.name);
  service.main = workload_of(spec, "spec");
  if (const auto* prefill = json::find(spec, "prefill"); prefill != nullptr && prefill->is_object()) {
    service.prefill = workload_of(*prefill, "spec.prefill");
  }
  if (const auto* router = json::find(spec, "router"); router != nullptr && router->is_object()) {
    service.router = router_of(*router);
  }
  service.tracing = optional_object(spec, "tracing");
  return service;
}

}  // namespace llmd::llmisvc
