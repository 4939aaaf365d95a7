#include "llmisvc/crd.h"

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

json::Object version(std::string_view name, bool is_stored, bool is_config) {
  json::Value schema = schema::object(
      is_config ? "Settings that services start from (baseRefs)." : "A large language model that is served.",
      {{"apiVersion", schema::string("")},
       {"kind", schema::string("")},
       {"metadata", json::Value(json::Object{{"type", "object"}})},
       {"spec", is_config ? config_spec_schema() : service_spec_schema()},
       {"status", schema::any_object("Observed state.")}});
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
