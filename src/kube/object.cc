#include "kube/object.h"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include <algorithm>

#include "base/strings.h"

namespace llmd::kube {

namespace {

namespace bj = boost::json;

std::string_view text_of(const bj::value* value) {
  const bj::string* text = value ? value->if_string() : nullptr;
  return text ? std::string_view(text->data(), text->size()) : std::string_view();
}

std::string_view member_text(const Object& object, std::string_view key) {
  return text_of(object.if_contains(key));
}

// Label keys contain dots, so they are looked up in their map and not by a path.
std::string_view map_entry(const Object& object, std::string_view map_path, std::string_view key) {
  const Object* map = find_object(object, map_path);
  return map ? member_text(*map, key) : std::string_view();
}

bool requirement_holds(const Object& requirement, const Object* labels) {
  const bj::value* label = labels ? labels->if_contains(member_text(requirement, "key")) : nullptr;
  const std::string_view operation = member_text(requirement, "operator");
  if (operation == "Exists") {
    return label != nullptr;
  }
  if (operation == "DoesNotExist") {
    return label == nullptr;
  }
  const bj::value* values = requirement.if_contains("values");
  const bj::array* list = values ? values->if_array() : nullptr;
  const bool among = label && list && std::ranges::find(*list, *label) != list->end();
  if (operation == "In") {
    return among;
  }
  return operation == "NotIn" && !among;
}

}  // namespace

std::string ObjectKey::to_string() const {
  return name_space.empty() ? name : name_space + "/" + name;
}

ObjectKey key_of(const Object& object) {
  return {std::string(namespace_of(object)), std::string(name_of(object))};
}
std::string_view name_of(const Object& object) {
  return find_string(object, "metadata.name");
}
std::string_view namespace_of(const Object& object) {
  return find_string(object, "metadata.namespace");
}
std::string_view uid_of(const Object& object) {
  return find_string(object, "metadata.uid");
}
std::string_view kind_of(const Object& object) {
  return member_text(object, "kind");
}
std::string_view api_version_of(const Object& object) {
  return member_text(object, "apiVersion");
}
std::string_view resource_version_of(const Object& object) {
  return find_string(object, "metadata.resourceVersion");
}
std::int64_t generation_of(const Object& object) {
  return find_int(object, "metadata.generation", 0);
}
bool is_being_deleted(const Object& object) {
  return !find_string(object, "metadata.deletionTimestamp").empty();
}
std::string_view label_of(const Object& object, std::string_view key) {
  return map_entry(object, "metadata.labels", key);
}
std::string_view annotation_of(const Object& object, std::string_view key) {
  return map_entry(object, "metadata.annotations", key);
}

const bj::value* find(const Object& object, std::string_view path) {
  const Object* current = &object;
  while (true) {
    const std::size_t dot = path.find('.');
    const bj::value* value = current->if_contains(path.substr(0, dot));
    if (!value || dot == std::string_view::npos) {
      return value;
    }
    current = value->if_object();
    if (!current) {
      return nullptr;
    }
    path.remove_prefix(dot + 1);
  }
}

const Object* find_object(const Object& object, std::string_view path) {
  const bj::value* value = find(object, path);
  return value ? value->if_object() : nullptr;
}

const bj::array* find_array(const Object& object, std::string_view path) {
  const bj::value* value = find(object, path);
  return value ? value->if_array() : nullptr;
}

std::string_view find_string(const Object& object, std::string_view path) {
  return text_of(find(object, path));
}

std::int64_t find_int(const Object& object, std::string_view path, std::int64_t fallback) {
  const bj::value* value = find(object, path);
  if (!value || !value->is_number()) {
    return fallback;
  }
  boost::system::error_code failed;
  const auto number = value->to_number<std::int64_t>(failed);
  return failed ? fallback : number;
}

bool find_bool(const Object& object, std::string_view path, bool fallback) {
  const bj::value* value = find(object, path);
  const bool* flag = value ? value->if_bool() : nullptr;
  return flag ? *flag : fallback;
}

bj::value& at(Object& object, std::string_view path) {
  Object* current = &object;
  while (true) {
    const std::size_t dot = path.find('.');
    bj::value& value = (*current)[path.substr(0, dot)];
    if (dot == std::string_view::npos) {
      return value;
    }
    if (!value.is_object()) {
      value.emplace_object();
    }
    current = &value.get_object();
    path.remove_prefix(dot + 1);
  }
}

Object controller_reference(const Object& owner) {
  Object reference;
  reference["apiVersion"] = api_version_of(owner);
  reference["kind"] = kind_of(owner);
  reference["name"] = name_of(owner);
  reference["uid"] = uid_of(owner);
  reference["controller"] = true;
  reference["blockOwnerDeletion"] = true;
  return reference;
}

const Object* controller_of(const Object& object) {
  const bj::array* owners = find_array(object, "metadata.ownerReferences");
  if (!owners) {
    return nullptr;
  }
  for (const bj::value& owner : *owners) {
    if (owner.is_object() && find_bool(owner.get_object(), "controller", false)) {
      return &owner.get_object();
    }
  }
  return nullptr;
}

bool selector_matches(const Object& label_selector, const Object& object) {
  const Object* labels = find_object(object, "metadata.labels");
  if (const Object* wanted = find_object(label_selector, "matchLabels")) {
    for (const auto& entry : *wanted) {
      const bj::value* label = labels ? labels->if_contains(entry.key()) : nullptr;
      if (!label || *label != entry.value()) {
        return false;
      }
    }
  }
  if (const bj::array* requirements = find_array(label_selector, "matchExpressions")) {
    return std::ranges::all_of(*requirements, [&](const bj::value& requirement) {
      return requirement.is_object() && requirement_holds(requirement.get_object(), labels);
    });
  }
  return true;
}

const Object* find_condition(const Object& object, std::string_view type) {
  const bj::array* conditions = find_array(object, "status.conditions");
  if (!conditions) {
    return nullptr;
  }
  for (const bj::value& condition : *conditions) {
    if (condition.is_object() && member_text(condition.get_object(), "type") == type) {
      return &condition.get_object();
    }
  }
  return nullptr;
}

void set_condition(Object& object, std::string_view type, std::string_view status, std::string_view reason,
                   std::string_view message, std::string_view now_rfc3339) {
  bj::value& conditions = at(object, "status.conditions");
  if (!conditions.is_array()) {
    conditions.emplace_array();
  }
  Object* condition = const_cast<Object*>(find_condition(object, type));
  if (!condition) {
    condition = &conditions.get_array().emplace_back(bj::object_kind).get_object();
    (*condition)["type"] = type;
  }
  const bool changed = member_text(*condition, "status") != status;
  (*condition)["status"] = status;
  if (changed || !condition->contains("lastTransitionTime")) {
    (*condition)["lastTransitionTime"] = now_rfc3339;
  }
  (*condition)["reason"] = reason;
  (*condition)["message"] = message;
}

}  // namespace llmd::kube
