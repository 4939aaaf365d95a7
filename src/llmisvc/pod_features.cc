#include "llmisvc/pod_features.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/child_name.h"
#include "llmisvc/kv_cache.h"
#include "llmisvc/labels.h"
#include "llmisvc/launch.h"
#include "llmisvc/object_edit.h"
#include "llmisvc/pod_edit.h"
#include "llmisvc/storage.h"

namespace llmd::llmisvc {
namespace {

std::string text_at(const json::Object& object, std::string_view key) {
  const auto* value = object.if_contains(key_text(key));
  return value != nullptr ? std::string(text_view(*value)) : std::string();
}

void prepend_arguments(json::Object& server, const std::vector<std::string>& arguments) {
  json::Array all = text_list(arguments);
  for (const json::Value& own : list_in(server, "args")) {
    all.push_back(own);
  }
  server["args"] = std::move(all);
}

void append_argument(json::Object& server, std::string_view flag, std::string_view value = {}) {
  if (has_flag(server, {flag.substr(0, flag.find('='))})) {
    return;
  }
  json::Array& args = list_in(server, "args");
  args.push_back(text_value(flag));
  if (!value.empty()) {
    args.push_back(text_value(value));
  }
}

// vLLM and llmd: each adapter by its bare name and by the publisher's.
std::vector<std::string> vllm_adapters(const Service& service) {
  std::vector<std::string> arguments{"--enable-lora"};
  const auto limit = [&](std::string_view flag, const std::optional<long long>& value) {
    if (value) {
      arguments.push_back(fmt::format("{}={}", flag, *value));
    }
  };
  limit("--max-lora-rank", service.model.lora_max_rank);
  limit("--max-loras", service.model.lora_max_adapters);
  limit("--max-cpu-loras", service.model.lora_max_cpu_adapters);
  arguments.emplace_back("--lora-modules");
  for (const Adapter& adapter : service.model.adapters) {
    const std::string full = fmt::format("publishers/{}/models/{}", service.name_space, adapter.name);
    for (const std::string& name : {adapter.name, full}) {
      const json::Object module{{"name", name}, {"path", adapter_folder(adapter.name)}};
      arguments.push_back(json::write(json::Value(module)));
    }
  }
  return arguments;
}

std::vector<std::string> sglang_adapters(const Service& service) {
  std::vector<std::string> arguments{"--enable-lora"};
  if (service.model.lora_max_rank) {
    arguments.push_back(fmt::format("--max-lora-rank={}", *service.model.lora_max_rank));
  }
  if (service.model.lora_max_adapters) {
    arguments.push_back(fmt::format("--max-loras-per-batch={}", *service.model.lora_max_adapters));
  }
  arguments.emplace_back("--lora-paths");
  for (const Adapter& adapter : service.model.adapters) {
    arguments.push_back(fmt::format("{}={}", adapter.name, adapter_folder(adapter.name)));
  }
  return arguments;
}

std::vector<std::string> llama_adapters(const Service& service) {
  std::vector<std::string> arguments;
  for (const Adapter& adapter : service.model.adapters) {
    arguments.insert(arguments.end(), {"--lora", adapter_folder(adapter.name)});
  }
  return arguments;
}

void add_field(json::Object& container, std::string_view name, std::string_view path) {
  add_keyed(container, "env", "name",
            {{"name", text_value(name)}, {"valueFrom", {{"fieldRef", {{"fieldPath", text_value(path)}}}}}});
}

// Variables that every OpenTelemetry library reads. What the user set stays.
void add_trace_variables(json::Object& container, const json::Object& tracing, std::string_view program,
                         const Service& service) {
  add_env(container, "OTEL_SERVICE_NAME", program);
  static constexpr std::pair<const char*, const char*> kFields[] = {
      {"exporterEndpoint", "OTEL_EXPORTER_OTLP_ENDPOINT"},
      {"exporter", "OTEL_TRACES_EXPORTER"},
      {"sampler", "OTEL_TRACES_SAMPLER"},
      {"samplerArg", "OTEL_TRACES_SAMPLER_ARG"}};
  for (const auto& [field, variable] : kFields) {
    if (const std::string value = text_at(tracing, field); !value.empty()) {
      add_env(container, variable, value);
    }
  }
  // $(NAME) refers to variables in front of it.
  add_field(container, "OTEL_POD_NAME", "metadata.name");
  add_field(container, "OTEL_NODE_NAME", "spec.nodeName");
  add_env(container, "OTEL_RESOURCE_ATTRIBUTES",
          fmt::format("k8s.namespace.name={},k8s.node.name=$(OTEL_NODE_NAME),k8s.pod.name=$(OTEL_POD_NAME),"
                      "llmisvc.name={}",
                      service.name_space, service.name));
}

// ---- Devices.

std::string device_annotation(const Service& service, std::string_view name) {
  const auto* annotations = service.metadata.if_contains("annotations");
  return annotations != nullptr && annotations->is_object()
             ? text_at(annotations->get_object(), fmt::format("serving.kserve.io/exp-dra-{}", name))
             : std::string();
}

}  // namespace

void add_adapters(json::Object& server, const Service& service) {
  if (service.model.adapters.empty() || has_flag(server, {"--lora-modules", "--lora-paths", "--lora"})) {
    return;
  }
  switch (engine_of_image(text_at(server, "image"))) {
    case Engine::Sglang:
      return prepend_arguments(server, sglang_adapters(service));
    case Engine::LlamaServer:
      return prepend_arguments(server, llama_adapters(service));
    case Engine::Vllm:
    case Engine::Llmd:
      return prepend_arguments(server, vllm_adapters(service));
  }
}

void add_tracing(json::Object& server, const PodRequest& request) {
  const Service& service = request.service;
  const std::string endpoint =
      service.tracing ? text_at(*service.tracing, "exporterEndpoint") : std::string();
  if (endpoint.empty()) {
    return;
  }
  const Engine engine = engine_of_image(text_at(server, "image"));
  if (engine == Engine::Vllm) {
    append_argument(server, "--otlp-traces-endpoint", endpoint);
    append_argument(server, "--collect-detailed-traces", "all");
  } else if (engine == Engine::Sglang) {
    append_argument(server, "--enable-trace");
    append_argument(server, "--otlp-traces-endpoint",
                    endpoint.substr(std::min(endpoint.size(), endpoint.find("://") + 3)));
  }
  const bool is_prefill = &request.workload != &service.main;
  add_trace_variables(server, *service.tracing,
                      is_prefill ? "inference-server-prefill" : "inference-server-decode", service);
}

void add_scheduler_tracing(json::Object& picker, const Service& service) {
  if (service.tracing) {
    append_argument(picker, "--tracing=true");
    add_trace_variables(picker, *service.tracing, "inference-scheduler", service);
  }
}

void add_cache_tiers(json::Object& pod, json::Object& server, const Workload& workload) {
  if (!workload.kv_cache) {
    return;
  }
  add_tier_volumes(pod, server, *workload.kv_cache);
  const std::string image = text_at(server, "image");
  const auto version = version_of_image(image);
  if (engine_of_image(image) == Engine::Vllm && version && *version >= EngineVersion{0, 22, 0} &&
      !has_flag(server, {"--kv-transfer-config", "--kv_transfer_config"})) {
    prepend_arguments(server, {"--kv-transfer-config", kv_transfer_config(*workload.kv_cache)});
  }
}

void add_device_claim(json::Object& pod, const Service& service) {
  if (device_annotation(service, "device-class").empty()) {
    return;
  }
  const std::string named = device_annotation(service, "container-name");
  json::Object* container = find_container(pod, named.empty() ? "main" : named);
  if (container == nullptr) {
    return;
  }
  add_keyed(object_member(*container, "resources"), "claims", "name", {{"name", "managed-device"}});
  add_keyed(
      pod, "resourceClaims", "name",
      {{"name", "managed-device"}, {"resourceClaimTemplateName", child_name(service.name, "-managed-dra")}});
}

std::optional<json::Object> device_claim_template(const Service& service) {
  const std::string device_class = device_annotation(service, "device-class");
  if (device_class.empty()) {
    return std::nullopt;
  }
  json::Object exactly{{"deviceClassName", device_class}};
  if (const auto count = parse_integer(device_annotation(service, "device-count")); count && *count > 1) {
    exactly["count"] = *count;
  }
  json::Array selectors;
  const std::string expressions = device_annotation(service, "cel-selector");
  for (const std::string_view line : split(expressions, '\n')) {
    if (const std::string_view expression = trim(line); !expression.empty()) {
      selectors.emplace_back(json::Object{{"cel", {{"expression", text_value(expression)}}}});
    }
  }
  if (!selectors.empty()) {
    exactly["selectors"] = std::move(selectors);
  }
  json::Object object = child(service, "resource.k8s.io/v1", "ResourceClaimTemplate",
                              child_name(service.name, "-managed-dra"), labels_of(service, kWorkload));
  json::Object request{{"exactly", std::move(exactly)}, {"name", "device"}};
  object["spec"] = {{"spec", {{"devices", {{"requests", json::Array{std::move(request)}}}}}}};
  return object;
}

}  // namespace llmd::llmisvc
