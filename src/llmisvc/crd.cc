#include "llmisvc/crd.h"

#include <algorithm>

#include "llmisvc/labels.h"
#include "llmisvc/schema.h"
#include "llmisvc/schema_builder.h"

namespace llmd::llmisvc {
namespace {

json::Object column(std::string_view name, std::string_view type, std::string_view path, int priority = 0) {
  json::Object result{{"jsonPath", text_value(path)}, {"name", text_value(name)}, {"type", text_value(type)}};
  if (priority > 0) {
    result["priority"] = priority;
  }
  return result;
}

json::Array columns(bool is_config) {
  json::Array list;
  if (!is_config) {
    list.emplace_back(column("URL", "string", ".status.url"));
  }
  list.emplace_back(column("Ready", "string", ".status.conditions[?(@.type=='Ready')].status"));
  list.emplace_back(column("Reason", "string", ".status.conditions[?(@.type=='Ready')].reason"));
  list.emplace_back(column("Age", "date", ".metadata.creationTimestamp"));
  if (!is_config) {
    list.emplace_back(column("URLs", "string", ".status.addresses[*].url", 1));
  }
  return list;
}

json::Value condition_schema() {
  using namespace schema;  // NOLINT: the words schemas are written in
  return record("",
                {{"type", string("What it is about.")},
                 {"status", choice("Unknown: not decided yet.", {"True", "False", "Unknown"})},
                 {"severity", string("Empty for those that Ready is made of, else Info.")},
                 {"reason", string("One word for programs.")},
                 {"message", string("A sentence for people.")},
                 {"lastTransitionTime", string("When the status last changed.")}},
                {"type", "status"});
}

json::Value status_schema() {
  using namespace schema;  // NOLINT: the words schemas are written in
  const json::Value applied = record("", {{"name", string("Name of the config.")},
                                          {"namespace", string("Where it was found.")},
                                          {"source", string("Preset or UserRef.")}});
  const json::Value user = record("", {{"name", string("Name.")}, {"namespace", string("Namespace.")}});
  return record(
      "Observed state.",
      {{"url", string("Where clients reach the model from outside.")},
       {"observedGeneration", integer("Generation that the rest is about.", 0, 9007199254740991)},
       {"conditions", list_of("Ready and what it is made of.", condition_schema(), "type")},
       {"annotations", map_of("Presets this service is pinned to.", string(""))},
       {"address", any_object("Deprecated: addresses.")},
       {"addresses", list_of("Every way to reach the model, and the names it has there.", any_object())},
       {"appliedConfigs", list_of("Configs in the order in which they were merged.", applied)},
       {"router", any_object("Gateways, pool and group that take part.")},
       {"workloads", any_object("Workloads and how many of their replicas are ready.")},
       {"referencedBy", list_of("Services that use this config.", user)}});
}

// A config holds templates: where a value is restricted, one with {{ }} passes too. It is a part of a
// service, so rules about a whole do not apply.
void admit_templates(json::Value& schema) {
  if (auto* list = schema.if_array()) {
    std::ranges::for_each(*list, admit_templates);
  }
  auto* object = schema.if_object();
  if (object == nullptr) {
    return;
  }
  std::string pattern;
  if (const auto* choices = object->if_contains("enum"); choices != nullptr && choices->is_array()) {
    for (const json::Value& choice : choices->get_array()) {
      pattern += (pattern.empty() ? "^(" : "|") + std::string(choice.get_string());
    }
    pattern += ")$";
    object->erase("enum");
  } else if (const auto* own = object->if_contains("pattern"); own != nullptr && own->is_string()) {
    pattern = own->get_string();
  }
  if (!pattern.empty()) {
    (*object)["pattern"] = text_value("(" + pattern + R"()|\{\{)");
    object->erase("maxLength");
  }
  object->erase("x-kubernetes-validations");
  for (auto& member : *object) {
    admit_templates(member.value());
  }
}

json::Value spec_schema(bool is_config) {
  json::Value schema = is_config ? config_spec_schema() : service_spec_schema();
  if (is_config) {
    admit_templates(schema);
  }
  return schema;
}

json::Object version(std::string_view name, bool is_stored, bool is_config) {
  json::Value schema = schema::record(
      is_config ? "Settings that services start from (baseRefs)." : "A large language model that is served.",
      {{"apiVersion", schema::string("Version of this form.")},
       {"kind", schema::string("Kind of this object.")},
       {"metadata", json::Value(json::Object{{"type", "object"}})},
       {"spec", spec_schema(is_config)},
       {"status", status_schema()}},
      {"spec"});
  return {{"name", text_value(name)},
          {"served", true},
          {"storage", is_stored},
          {"additionalPrinterColumns", columns(is_config)},
          {"subresources", {{"status", json::Object()}}},
          {"schema", {{"openAPIV3Schema", std::move(schema)}}}};
}

json::Object crd(std::string_view kind, std::string_view plural, bool is_config) {
  json::Object names{{"kind", text_value(kind)},
                     {"listKind", text_value(fmt::format("{}List", kind))},
                     {"plural", text_value(plural)},
                     {"singular", text_value(plural.substr(0, plural.size() - 1))}};
  if (!is_config) {
    names["shortNames"] = json::Array{"llmisvc"};
  }
  return {{"apiVersion", "apiextensions.k8s.io/v1"},
          {"kind", "CustomResourceDefinition"},
          {"metadata", {{"name", text_value(fmt::format("{}.serving.kserve.io", plural))}}},
          {"spec",
           {{"group", "serving.kserve.io"},
            {"names", std::move(names)},
            {"scope", "Namespaced"},
            {"conversion", {{"strategy", "None"}}},
            {"versions",
             json::Array{version("v1alpha1", false, is_config), version("v1alpha2", true, is_config)}}}}};
}

}  // namespace

std::vector<json::Object> crds() {
  return {crd("LLMInferenceService", "llminferenceservices", false),
          crd("LLMInferenceServiceConfig", "llminferenceserviceconfigs", true)};
}

}  // namespace llmd::llmisvc
