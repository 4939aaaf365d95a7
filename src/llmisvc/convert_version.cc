#include "llmisvc/convert_version.h"

#include <algorithm>
#include <string>

#include "json/path.h"
#include "llmisvc/labels.h"
#include "llmisvc/object_edit.h"

namespace llmd::llmisvc {
namespace {

constexpr std::string_view kModelCriticality = "internal.serving.kserve.io/model-criticality";
constexpr std::string_view kLoraCriticalities = "internal.serving.kserve.io/lora-criticalities";
constexpr std::string_view kNewFields = "internal.serving.kserve.io/v1alpha2-fields";
constexpr std::string_view kPoolSpec = "internal.serving.kserve.io/pool-spec";
constexpr std::string_view kPoolPath = "spec.router.scheduler.pool.spec";

// Fields that v1alpha1 does not have.
constexpr std::array<std::string_view, 3> kOnlyInV1alpha2{
    "spec.kvCacheOffloading", "spec.prefill.kvCacheOffloading", "spec.model.confidential"};

void set_annotation(json::Value& object, std::string_view key, std::string_view text) {
  json::Object& metadata = object_member(object.get_object(), "metadata");
  member(object_member(metadata, "annotations"), key) = text_value(text);
}

// Takes the annotation away and returns its text; the empty map that is left goes too.
std::string take_annotation(json::Value& object, std::string_view key) {
  json::Object* metadata = find_object(object.get_object(), "metadata");
  json::Object* annotations = metadata != nullptr ? find_object(*metadata, "annotations") : nullptr;
  const auto* found = annotations != nullptr ? annotations->if_contains(key_text(key)) : nullptr;
  if (found == nullptr || !found->is_string()) {
    return {};
  }
  std::string text(text_view(*found));
  annotations->stable_erase(key_text(key));
  if (annotations->empty()) {
    metadata->stable_erase("annotations");
  }
  return text;
}

void erase_at(json::Value& root, std::string_view path) {
  const std::string_view parent = json::path_parent(path);
  auto* owner = json::find(root, parent);
  if (owner != nullptr && owner->is_object()) {
    owner->get_object().stable_erase(key_text(path.substr(parent.size() + 1)));
  }
}

bool has_text(const json::Value* value) {
  return value != nullptr && !text_view(*value).empty();
}

json::Array* adapters_of(json::Value& object) {
  auto* list = json::find(object, "spec.model.lora.adapters");
  return list != nullptr ? list->if_array() : nullptr;
}

void keep_criticality(json::Value& object) {
  if (const auto* value = json::find(object, "spec.model.criticality"); has_text(value)) {
    const std::string text(text_view(*value));
    erase_at(object, "spec.model.criticality");
    set_annotation(object, kModelCriticality, text);
  }
  json::Object kept;
  if (auto* adapters = adapters_of(object)) {
    for (std::size_t i = 0; i < adapters->size(); ++i) {
      auto* adapter = (*adapters)[i].if_object();
      const auto* value = adapter != nullptr ? adapter->if_contains("criticality") : nullptr;
      if (has_text(value)) {
        kept[std::to_string(i)] = *value;
        adapter->stable_erase("criticality");
      }
    }
  }
  if (!kept.empty()) {
    set_annotation(object, kLoraCriticalities, json::write(json::Value(kept)));
  }
}

void restore_criticality(json::Value& object) {
  if (const std::string text = take_annotation(object, kModelCriticality);
      !text.empty() && json::find(object, "spec.model.criticality") == nullptr) {
    (void)json::set_at(object, "spec.model.criticality", text_value(text));
  }
  const std::string text = take_annotation(object, kLoraCriticalities);
  const auto kept = json::parse_object(text);
  auto* adapters = adapters_of(object);
  for (std::size_t i = 0; kept && adapters != nullptr && i < adapters->size(); ++i) {
    const auto* value = kept->if_contains(std::to_string(i));
    auto* adapter = (*adapters)[i].if_object();
    if (has_text(value) && adapter != nullptr && !adapter->contains("criticality")) {
      (*adapter)["criticality"] = *value;
    }
  }
}

void keep_new_fields(json::Value& object) {
  json::Object kept;
  for (const std::string_view path : kOnlyInV1alpha2) {
    if (const auto* value = json::find(object, path)) {
      member(kept, path) = *value;
      erase_at(object, path);
    }
  }
  if (!kept.empty()) {
    set_annotation(object, kNewFields, json::write(json::Value(kept)));
  }
}

void restore_new_fields(json::Value& object) {
  const auto kept = json::parse_object(take_annotation(object, kNewFields));
  for (const std::string_view path : kOnlyInV1alpha2) {
    const auto* value = kept ? kept->if_contains(key_text(path)) : nullptr;
    const auto* owner = json::find(object, json::path_parent(path));
    // Whoever removed `prefill` in between meant what was in it, too.
    if (value != nullptr && owner != nullptr && owner->is_object() && json::find(object, path) == nullptr) {
      (void)json::set_at(object, path, *value);
    }
  }
}

void convert_pool(json::Value& object, bool to_v1) {
  auto* spec = json::find(object, kPoolPath);
  if (spec == nullptr || !spec->is_object()) {
    return;
  }
  const json::Object before = spec->get_object();
  const json::Object after = to_v1 ? pool_spec_v1(before) : pool_spec_v1alpha2(before);
  const json::Object back = to_v1 ? pool_spec_v1alpha2(after) : pool_spec_v1(after);
  *spec = after;
  if (back != before && after != before) {
    set_annotation(object, kPoolSpec, json::write(json::Value(json::Object{{"was", before}, {"is", after}})));
  }
}

void restore_pool(json::Value& object) {
  const auto kept = json::parse_object(take_annotation(object, kPoolSpec));
  auto* spec = json::find(object, kPoolPath);
  const auto* is = kept ? kept->if_contains("is") : nullptr;
  const auto* was = kept ? kept->if_contains("was") : nullptr;
  if (spec != nullptr && is != nullptr && was != nullptr && *spec == *is) {
    *spec = *was;
  }
}

// {app: x} instead of {matchLabels: {app: x}}; what stands beside it tells an empty one.
bool is_flat_selector(const json::Object& selector, const json::Object& spec) {
  const bool only_texts =
      std::ranges::all_of(selector, [](const auto& label) { return label.value().is_string(); });
  return only_texts &&
         (!selector.empty() || spec.contains("targetPortNumber") || spec.contains("extensionRef"));
}

json::Value renamed_port(const json::Object& reference, bool to_v1) {
  json::Object result;
  for (const auto& entry : reference) {
    const auto* port = entry.value().if_object();
    if (to_v1 && entry.key() == "portNumber") {
      result["port"] = json::Object{{"number", entry.value()}};
    } else if (!to_v1 && entry.key() == "port" && port != nullptr && port->contains("number")) {
      result["portNumber"] = port->at("number");
    } else {
      result[entry.key()] = entry.value();
    }
  }
  return json::Value(std::move(result));
}

}  // namespace

json::Object pool_spec_v1(const json::Object& spec) {
  json::Object result;
  for (const auto& entry : spec) {
    const auto* object = entry.value().if_object();
    if (entry.key() == "selector" && object != nullptr && is_flat_selector(*object, spec)) {
      result["selector"] = json::Object{{"matchLabels", *object}};
    } else if (entry.key() == "targetPortNumber" && !spec.contains("targetPorts")) {
      result["targetPorts"] = json::Array{json::Object{{"number", entry.value()}}};
    } else if (entry.key() == "extensionRef" && object != nullptr && !spec.contains("endpointPickerRef")) {
      result["endpointPickerRef"] = renamed_port(*object, true);
    } else {
      result[entry.key()] = entry.value();
    }
  }
  return result;
}

json::Object pool_spec_v1alpha2(const json::Object& spec) {
  json::Object result;
  for (const auto& entry : spec) {
    const auto* object = entry.value().if_object();
    const auto* list = entry.value().if_array();
    const json::Value* first_port =
        list != nullptr && !list->empty() ? json::find(list->front(), "number") : nullptr;
    if (entry.key() == "selector" && object != nullptr && object->size() == 1 &&
        object->begin()->key() == "matchLabels" && object->begin()->value().is_object()) {
      result["selector"] = object->begin()->value();
    } else if (entry.key() == "targetPorts" && first_port != nullptr && !spec.contains("targetPortNumber")) {
      result["targetPortNumber"] = *first_port;
    } else if (entry.key() == "endpointPickerRef" && object != nullptr && !spec.contains("extensionRef")) {
      result["extensionRef"] = renamed_port(*object, false);
    } else if (entry.key() != "appProtocol") {
      result[entry.key()] = entry.value();
    }
  }
  return result;
}

json::Object restore_kept_fields(const json::Object& object) {
  json::Value result(object);
  restore_criticality(result);
  restore_new_fields(result);
  restore_pool(result);
  return std::move(result.get_object());
}

json::Object to_version(const json::Object& object, std::string_view version) {
  json::Value result(restore_kept_fields(object));
  result.get_object()["apiVersion"] = "serving.kserve.io/" + std::string(version);
  if (version == "v1alpha2") {
    keep_criticality(result);
    convert_pool(result, true);
  } else {
    keep_new_fields(result);
    convert_pool(result, false);
  }
  return std::move(result.get_object());
}

}  // namespace llmd::llmisvc
