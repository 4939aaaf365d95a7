#include "llmisvc/convert_values.h"

#include <array>

#include "base/strings.h"
#include "json/path.h"
#include "llmisvc/convert_version.h"
#include "llmisvc/dns_name.h"
#include "llmisvc/labels.h"
#include "llmisvc/object_edit.h"
#include "llmisvc/values_parts.h"

namespace llmd::llmisvc {
namespace {

constexpr std::array<std::string_view, 3> kOnlyValues{"modelArtifacts", "decode", "routing"};
constexpr std::array<std::string_view, 3> kOnlyPool{"inferencePool", "inferenceExtension", "modelServers"};

bool has_any(const json::Object& object, std::span<const std::string_view> keys) {
  if (object.contains("kind") || object.contains("apiVersion")) {
    return false;
  }
  for (const std::string_view key : keys) {
    if (object.contains(key_text(key))) {
      return true;
    }
  }
  return false;
}

// ms-<x> is how the guides call the release of model x.
std::string service_name(ValuesReader& values, const ValuesOptions& options, const std::string& model_name) {
  std::string name = options.name;
  for (const char* key : {"fullnameOverride", "nameOverride"}) {
    const std::string own = values.text(key);
    name = name.empty() ? own : name;
  }
  if (name.starts_with("ms-")) {
    name = name.substr(3);
  }
  return repaired_name(name.empty() ? model_name.substr(model_name.rfind('/') + 1) : name);
}

bool role_exists(ValuesReader& values, const std::string& role, bool is_default) {
  const auto create = values.flag(role + ".create");
  const auto replicas = values.integer(role + ".replicas");
  return create.value_or(is_default) && (is_default || replicas.value_or(1) > 0);
}

// A file that starts its engines itself gets nothing from the presets' launch.
bool launches_itself(ValuesReader& values, const std::string& uri) {
  if (uri.starts_with("pvc+hf://")) {
    return true;
  }
  for (const char* role : {"decode", "prefill"}) {
    const auto* containers = values.look(fmt::format("{}.containers", role));
    if (containers == nullptr || !containers->is_array() || containers->get_array().empty()) {
      continue;
    }
    const json::Value& engine = containers->get_array().front();
    const auto mode = json::string_at(engine, "modelCommand").value_or("custom");
    const auto image = json::string_at(engine, "image").value_or("");
    if ((mode != "vllmServe" && mode != "imageDefault") ||
        image.find("llm-d-inference-sim") != std::string_view::npos) {
      return true;
    }
  }
  return false;
}

ValuesContext context_of(ValuesReader& values) {
  ValuesContext context{.model_name = values.text("modelArtifacts.name"),
                        .uri = values.text("modelArtifacts.uri"),
                        .secret = values.text("modelArtifacts.authSecretName"),
                        .mount_path = values.text("modelArtifacts.mountPath"),
                        .size_limit = values.text("modelArtifacts.size"),
                        .accelerator = values.text("accelerator.type"),
                        .scheduler_name = values.text("schedulerName"),
                        .service_account = values.text("serviceAccountOverride")};
  values.done("modelArtifacts.readOnly");
  if (context.uri.empty() && !context.model_name.empty()) {
    context.uri = "hf://" + context.model_name;
  }
  if (context.mount_path.empty()) {
    context.mount_path = "/model-cache";
  }
  if (context.size_limit == "5Mi" || context.size_limit == "0") {
    values.note("modelArtifacts.size",
                fmt::format("a limit of {} would evict every download; none is set", context.size_limit));
    context.size_limit.clear();
  }
  context.service_port = values.integer("routing.servicePort").value_or(8000);
  context.target_port = values.integer("routing.proxy.targetPort").value_or(8200);
  context.has_proxy = values.flag("routing.proxy.enabled").value_or(true);
  context.multinode = values.flag("multinode").value_or(false);
  context.has_prefill = role_exists(values, "prefill", false);
  context.own_launch = launches_itself(values, context.uri);
  if (!context.own_launch && values.look("modelArtifacts.mountPath") != nullptr) {
    values.remark("modelArtifacts.mountPath", "the model is mounted at /mnt/models");
  }
  return context;
}

// Both spellings of the label that pools select, since charts changed it; the role is ours to set.
void convert_labels(ValuesReader& values, json::Object& spec) {
  const auto* labels = values.take("modelArtifacts.labels");
  if (labels == nullptr || !labels->is_object()) {
    return;
  }
  json::Object result = labels->get_object();
  result.stable_erase("llm-d.ai/role");
  for (const auto& [one, other] : {std::pair{"llm-d.ai/inferenceServing", "llm-d.ai/inference-serving"},
                                   {"llm-d.ai/inference-serving", "llm-d.ai/inferenceServing"}}) {
    if (const auto* value = result.if_contains(one); value != nullptr && !result.contains(other)) {
      const json::Value copy = *value;
      result[other] = copy;
    }
  }
  if (!result.empty()) {
    spec["labels"] = std::move(result);
  }
}

void convert_tracing(ValuesReader& values, json::Object& spec) {
  if (!values.flag("tracing.enabled").value_or(false)) {
    values.done("tracing");
    return;
  }
  json::Object tracing;
  for (const auto& [from, to] : {std::pair{"tracing.otlpEndpoint", "exporterEndpoint"},
                                 {"tracing.sampling.sampler", "sampler"},
                                 {"tracing.sampling.samplerArg", "samplerArg"}}) {
    if (const std::string text = values.text(from); !text.empty()) {
      tracing[to] = text_value(text);
    }
  }
  spec["tracing"] = std::move(tracing);
}

// Devices claimed instead of counted: KServe's annotations say the same.
void convert_claims(ValuesReader& values, const ValuesContext& context, json::Object& annotations) {
  if (!values.flag("accelerator.dra").value_or(false)) {
    values.done("accelerator.resourceClaimTemplates");
    return;
  }
  const std::string base =
      "accelerator.resourceClaimTemplates." + (context.accelerator.empty() ? "nvidia" : context.accelerator);
  constexpr std::string_view kPrefix = "serving.kserve.io/exp-dra-";
  const auto set = [&](std::string_view key, const std::string& text) {
    if (!text.empty()) {
      member(annotations, std::string(kPrefix) + std::string(key)) = text_value(text);
    }
  };
  set("device-class", values.text(base + ".class"));
  set("device-count", values.text(base + ".count"));
  std::string expressions;
  if (const auto* selectors = values.take(base + ".selectors");
      selectors != nullptr && selectors->is_array()) {
    for (const json::Value& selector : selectors->get_array()) {
      if (const auto text = json::string_at(selector, "cel.expression")) {
        expressions += (expressions.empty() ? "" : "\n") + std::string(*text);
      }
    }
  }
  set("cel-selector", expressions);
  values.done(base + ".name");
  values.done(base + ".match");
}

void add_extra_objects(ValuesReader& values, std::vector<json::Object>& objects) {
  const auto* extra = values.take("extraObjects");
  if (extra == nullptr || !extra->is_array()) {
    return;
  }
  for (std::size_t i = 0; i < extra->get_array().size(); ++i) {
    const json::Value& object = extra->get_array()[i];
    object.is_object() ? objects.push_back(object.get_object())
                       : values.skipped(fmt::format("extraObjects[{}]", i), "not an object");
  }
}

// The service's fields in the order people write them.
json::Object assemble(json::Object model, json::Object decode, json::Object rest) {
  json::Object spec{{"model", std::move(model)}};
  for (json::Object* part : {&decode, &rest}) {
    for (auto& entry : *part) {
      spec[entry.key()] = std::move(entry.value());
    }
  }
  return spec;
}

}  // namespace

bool is_values(const json::Object& object) {
  return has_any(object, kOnlyValues) && !object.contains("spec");
}

bool is_pool_values(const json::Object& object) {
  return has_any(object, kOnlyPool) && !is_values(object);
}

ConvertedValues convert_values(const json::YamlDocument& document, const ValuesOptions& options) {
  ConvertedValues result;
  ValuesReader values(document, options.name.empty() ? "llm" : options.name, options.name_space);
  if (document.value.is_object() && is_pool_values(document.value.get_object())) {
    values.note("inferencePool", "a service with router.scheduler has a pool and a picker of its own");
    result.findings = values.finish();
    return result;
  }
  values.done("common");
  if (values.flag("enabled") == false) {
    values.note("enabled", "switched off: there is nothing to convert");
    for (const auto& entry : document.value.get_object()) {
      values.done(std::string(key_view(entry)));
    }
    result.findings = values.finish();
    return result;
  }
  const ValuesContext context = context_of(values);
  std::string served_name = context.model_name.empty() ? "random/model" : context.model_name;
  json::Object decode = convert_role(values, context, "decode", served_name);
  json::Object rest;
  if (context.has_prefill) {
    std::string same = served_name;
    rest["prefill"] = convert_role(values, context, "prefill", same);
  } else {
    values.done("prefill");
  }
  convert_labels(values, decode);
  convert_tracing(values, rest);
  std::string uri = context.uri;
  if (uri.starts_with("pvc+hf://")) {
    const auto parts = split(std::string_view(uri).substr(9), '/');
    uri = parts.size() < 3 ? uri : fmt::format("hf://{}/{}", parts[parts.size() - 2], parts.back());
  }
  json::Object model{{"uri", text_value(uri)}, {"name", text_value(served_name)}};
  rest["router"] = convert_routing(values, context, model);
  if (context.own_launch) {
    rest["storageInitializer"] = json::Object{{"enabled", false}};
  }
  if (values.flag("requester.enable").value_or(false)) {
    values.skipped("requester", "pods are not started by a requester here");
  } else {
    values.done("requester");
  }
  // Entries of other accelerator types mean nothing in the chart either.
  values.done("accelerator.resources");
  values.done("accelerator.env");
  json::Object annotations;
  convert_claims(values, context, annotations);
  json::Object metadata{{"name", text_value(service_name(values, options, context.model_name))}};
  if (!options.name_space.empty()) {
    metadata["namespace"] = text_value(options.name_space);
  }
  if (!annotations.empty()) {
    metadata["annotations"] = std::move(annotations);
  }
  const json::Object service{{"apiVersion", "serving.kserve.io/v1alpha2"},
                             {"kind", "LLMInferenceService"},
                             {"metadata", std::move(metadata)},
                             {"spec", assemble(std::move(model), std::move(decode), std::move(rest))}};
  result.objects.push_back(to_version(service, "v1alpha2"));
  add_extra_objects(values, result.objects);
  result.findings = values.finish();
  return result;
}

}  // namespace llmd::llmisvc
