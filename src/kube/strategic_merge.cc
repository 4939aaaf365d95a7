#include "kube/strategic_merge.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>

#include "json/value.h"

namespace llmd::kube {

namespace {

using json::Array;
using json::Object;
using json::Value;

constexpr std::string_view kOrder = "$setElementOrder/";
constexpr std::string_view kDeletePrimitives = "$deleteFromPrimitiveList/";
constexpr int kMaxDepth = 64;

std::string_view text_of(const Value* value) {
  const json::String* text = value ? value->if_string() : nullptr;
  return text ? std::string_view(text->data(), text->size()) : std::string_view();
}

std::string_view directive_of(const Value& patch) {
  return patch.is_object() ? text_of(patch.get_object().if_contains("$patch")) : std::string_view();
}

const Type* member_type(const Type* type, std::string_view name) {
  if (!type) {
    return nullptr;
  }
  if (type->shape == Shape::Map) {
    return type->element;
  }
  const SchemaField* field = type->definition ? type->definition->find(name) : nullptr;
  return field ? field->type : nullptr;
}

Result<Value> merge(const Value& target, const Value& patch, const Type* type, int depth);

// ---- lists
// -----------------------------------------------------------------------------------------------------------

Array::iterator find_item(Array& items, std::string_view key, const Value& wanted) {
  return std::ranges::find_if(items, [&](const Value& item) {
    const Value* value = item.is_object() ? item.get_object().if_contains(key) : nullptr;
    return value && *value == wanted;
  });
}

Result<Array> merge_items(Array items, const Array& patch, const Type& type, int depth) {
  const std::string_view key = type.merge_key;
  if (std::ranges::any_of(patch, [](const Value& item) { return directive_of(item) == "replace"; })) {
    items.clear();
  }
  for (const Value& change : patch) {
    if (directive_of(change) == "replace") {
      continue;
    }
    const Value* wanted = change.is_object() ? change.get_object().if_contains(key) : nullptr;
    if (!wanted) {
      return invalid_argument("map: {} does not contain declared merge key: {}", json::write(change), key);
    }
    const auto found = find_item(items, key, *wanted);
    if (directive_of(change) == "delete") {
      if (found != items.end()) {
        items.erase(found);
      }
      continue;
    }
    LLMD_TRY(auto merged,
             merge(found == items.end() ? Value(Object()) : *found, change, type.element, depth));
    if (found == items.end()) {
      items.push_back(std::move(merged));
    } else {
      *found = std::move(merged);
    }
  }
  return items;
}

Array merge_set(Array items, const Array& patch) {
  for (const Value& item : patch) {
    if (std::ranges::find(items, item) == items.end()) {
      items.push_back(item);
    }
  }
  return items;
}

// Items named by the order come in that order; the others stay behind the neighbour they stood behind.
Array in_order(Array items, const Array& order, std::string_view key) {
  const auto rank = [&](const Value& item) {
    const auto found = std::ranges::find_if(order, [&](const Value& wanted) {
      if (key.empty()) {
        return wanted == item;
      }
      const Value* a = wanted.is_object() ? wanted.get_object().if_contains(key) : nullptr;
      const Value* b = item.is_object() ? item.get_object().if_contains(key) : nullptr;
      return a && b && *a == *b;
    });
    return found == order.end() ? -1 : static_cast<int>(found - order.begin());
  };
  struct Group {
    int rank;
    Array members;
  };
  std::vector<Group> groups{{-1, {}}};
  for (Value& item : items) {
    if (const int place = rank(item); place >= 0) {
      groups.push_back({place, {}});
    }
    groups.back().members.push_back(std::move(item));
  }
  std::ranges::sort(groups, {}, &Group::rank);
  Array sorted;
  for (Group& group : groups) {
    for (Value& item : group.members) {
      sorted.push_back(std::move(item));
    }
  }
  return sorted;
}

// ---- objects
// ---------------------------------------------------------------------------------------------------------

Result<void> apply_directives(Object& result, const Object& patch, const Type* type) {
  for (const auto& [key, value] : patch) {
    const std::string_view name(key);
    if (!name.starts_with('$')) {
      continue;
    }
    if (name.starts_with(kDeletePrimitives)) {
      Value* list = result.if_contains(name.substr(kDeletePrimitives.size()));
      if (!value.is_array()) {
        return invalid_argument("{}: expected a list", name);
      }
      if (list && list->is_array()) {
        const auto goes = [&](const Value& item) {
          return std::ranges::find(value.get_array(), item) != value.get_array().end();
        };
        Array& items = list->get_array();
        items.erase(std::remove_if(items.begin(), items.end(), goes), items.end());
      }
    } else if (name.starts_with(kOrder)) {
      const std::string_view list_name = name.substr(kOrder.size());
      Value* list = result.if_contains(list_name);
      const Type* list_type = member_type(type, list_name);
      if (!value.is_array()) {
        return invalid_argument("{}: expected a list", name);
      }
      if (list && list->is_array() && list_type && (!list_type->merge_key.empty() || list_type->set)) {
        *list = in_order(std::move(list->get_array()), value.get_array(), list_type->merge_key);
      }
    } else if (name != "$patch" && name != "$retainKeys") {
      return invalid_argument("unknown patch directive {}", name);
    }
  }
  return {};
}

void retain_keys(Object& target, const Array& keys) {
  std::vector<std::string> leaving;
  for (const auto& member : target) {
    if (std::ranges::none_of(
            keys, [&](const Value& key) { return text_of(&key) == std::string_view(member.key()); })) {
      leaving.emplace_back(member.key());
    }
  }
  for (const std::string& key : leaving) {
    target.erase(key);
  }
}

Result<Value> merge_member(const Value* old_value, const Value& change, const Type* type, int depth) {
  if (change.is_object()) {
    return merge(old_value ? *old_value : Value(Object()), change, type, depth);
  }
  if (change.is_array() && type && type->shape == Shape::List) {
    const Array old_items = old_value && old_value->is_array() ? old_value->get_array() : Array();
    if (!type->merge_key.empty()) {
      LLMD_TRY(auto items, merge_items(old_items, change.get_array(), *type, depth));
      return Value(std::move(items));
    }
    if (type->set) {
      return Value(merge_set(old_items, change.get_array()));
    }
  }
  return change;
}

Result<Value> merge(const Value& target, const Value& patch, const Type* type, int depth) {
  if (depth > kMaxDepth) {
    return invalid_argument("patch is nested deeper than {} levels", kMaxDepth);
  }
  if (!patch.is_object()) {
    return patch;
  }
  const Object& changes = patch.get_object();
  const std::string_view directive = directive_of(patch);
  if (!directive.empty() && directive != "replace" && directive != "merge" && directive != "delete") {
    return invalid_argument("unknown $patch directive '{}'", directive);
  }
  Object result;
  if (target.is_object() && directive != "replace" && directive != "delete") {
    result = target.get_object();
  }
  if (directive == "delete") {
    return Value(std::move(result));
  }
  if (const Value* keys = changes.if_contains("$retainKeys"); keys && keys->is_array()) {
    retain_keys(result, keys->get_array());
  }
  for (const auto& [key, value] : changes) {
    if (std::string_view(key).starts_with('$')) {
      continue;
    }
    if (value.is_null() || directive_of(value) == "delete") {
      result.erase(key);
      continue;
    }
    const Value* old_value = result.if_contains(key);
    LLMD_TRY(auto merged, merge_member(old_value, value, member_type(type, key), depth + 1));
    result[key] = std::move(merged);
  }
  LLMD_TRY_VOID(apply_directives(result, changes, type));
  return Value(std::move(result));
}

}  // namespace

Result<Value> strategic_merge(const Value& target, const Value& patch, const Type* type) {
  if (!patch.is_object()) {
    return invalid_argument("a strategic merge patch is an object, got {}", json::kind_name(patch));
  }
  return merge(target, patch, type, 0);
}

}  // namespace llmd::kube
