#include "llmisvc/pod_edit.h"

#include <algorithm>

#include "json/path.h"
#include "llmisvc/labels.h"
#include "llmisvc/object_edit.h"

namespace llmd::llmisvc {
json::Object* find_container(json::Object& pod, std::string_view name, std::string_view list) {
  auto* containers = pod.if_contains(key_text(list));
  if (containers == nullptr || !containers->is_array()) {
    return nullptr;
  }
  for (json::Value& container : containers->get_array()) {
    if (container.is_object() && json::string_at(container, "name").value_or("") == name) {
      return &container.get_object();
    }
  }
  return nullptr;
}

json::Array& list_in(json::Object& object, std::string_view key) {
  json::Value& value = object[key_text(key)];
  if (!value.is_array()) {
    value = json::Array();
  }
  return value.get_array();
}

void add_keyed(json::Object& object, std::string_view list, std::string_view key, json::Object element) {
  json::Array& elements = list_in(object, list);
  const json::Value id = element[key_text(key)];
  const bool known = std::ranges::any_of(elements, [&](const json::Value& other) {
    const auto* candidate = other.is_object() ? other.get_object().if_contains(key_text(key)) : nullptr;
    return candidate != nullptr && *candidate == id;
  });
  if (!known) {
    elements.emplace_back(std::move(element));
  }
}

std::vector<std::string> words_in(const json::Object& container, std::string_view key) {
  std::vector<std::string> words;
  const auto* list = container.if_contains(key_text(key));
  if (list != nullptr && list->is_array()) {
    for (const json::Value& word : list->get_array()) {
      words.emplace_back(text_view(word));
    }
  }
  return words;
}

bool has_flag(const json::Object& container, std::initializer_list<std::string_view> flags) {
  for (const char* key : {"command", "args"}) {
    for (const std::string& word : words_in(container, key)) {
      if (std::ranges::find(flags, std::string_view(word).substr(0, word.find('='))) != flags.end()) {
        return true;
      }
    }
  }
  return false;
}

void add_env(json::Object& container, std::string_view name, std::string_view value) {
  add_keyed(container, "env", "name", {{"name", text_value(name)}, {"value", text_value(value)}});
}

void add_mount(json::Object& container, std::string_view volume, std::string_view path, bool read_only,
               std::string_view sub_path) {
  json::Object mount{{"name", text_value(volume)}, {"mountPath", text_value(path)}};
  if (read_only) {
    mount["readOnly"] = true;
  }
  if (!sub_path.empty()) {
    mount["subPath"] = text_value(sub_path);
  }
  add_keyed(container, "volumeMounts", "mountPath", std::move(mount));
}

void add_volume(json::Object& pod, std::string_view name, json::Object source) {
  json::Object volume{{"name", text_value(name)}};
  for (auto& member : source) {
    volume[member.key()] = std::move(member.value());
  }
  add_keyed(pod, "volumes", "name", std::move(volume));
}

}  // namespace llmd::llmisvc
