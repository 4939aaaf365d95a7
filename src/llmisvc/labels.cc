#include "llmisvc/labels.h"

#include <vector>

namespace llmd::llmisvc {

json::Value text_value(std::string_view text) {
  return json::Value(json::String(text.data(), text.size()));
}

json::Array text_list(const std::vector<std::string>& texts) {
  json::Array list;
  for (const std::string& text : texts) {
    list.push_back(text_value(text));
  }
  return list;
}

json::Object labels_of(const Service& service, std::string_view component) {
  json::Object labels;
  if (!component.empty()) {
    labels["app.kubernetes.io/component"] = text_value(component);
  }
  labels["app.kubernetes.io/name"] = service.name;
  labels["app.kubernetes.io/part-of"] = text_value(kPartOf);
  return labels;
}

void add_pool_labels(json::Object& labels, std::string_view role) {
  labels["kserve.io/component"] = "workload";
  labels["llm-d.ai/role"] = text_value(role);
}

json::Object pool_selector(const Service& service) {
  json::Object labels = labels_of(service, {});
  labels["kserve.io/component"] = "workload";
  return labels;
}

json::Object child(const Service& service, std::string_view api_version, std::string_view kind,
                   std::string name, json::Object labels) {
  json::Object metadata{
      {"labels", std::move(labels)}, {"name", std::move(name)}, {"namespace", service.name_space}};
  // An API server takes no owner without uid; a manifest that was never applied has none.
  if (!service.uid.empty()) {
    metadata["ownerReferences"] = json::Array{json::Object{{"apiVersion", service.api_version},
                                                           {"blockOwnerDeletion", true},
                                                           {"controller", true},
                                                           {"kind", "LLMInferenceService"},
                                                           {"name", service.name},
                                                           {"uid", service.uid}}};
  }
  return {
      {"apiVersion", text_value(api_version)}, {"kind", text_value(kind)}, {"metadata", std::move(metadata)}};
}

}  // namespace llmd::llmisvc
