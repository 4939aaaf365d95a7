// Fields are laid upon an object and taken from it.
#include <boost/json/array.hpp>

#include <algorithm>

#include "apiserver/field_set.h"
#include "apiserver/field_steps.h"
#include "json/value.h"

namespace llmd::apiserver {
namespace {

using json::Array;
using json::Object;
using json::Value;
using kube::Type;

Value merge_lists(const Array& live, const Array& applied, const Type& type) {
  Array result = live;
  for (const Value& item : applied) {
    const std::string step = item_step(type, item);
    const auto same =
        std::ranges::find_if(result, [&](const Value& old) { return item_step(type, old) == step; });
    if (same == result.end()) {
      result.push_back(item);
    } else if (!type.set) {
      *same = merge_applied(*same, item, type.element);
    }
  }
  return Value(std::move(result));
}

}  // namespace

Value merge_applied(const Value& live, const Value& applied, const Type* type) {
  const Structure shape = structure_of(applied, type);
  if (shape == Structure::Members && live.is_object()) {
    Object result = live.get_object();
    for (const auto& [key, value] : applied.get_object()) {
      const Value* old = result.if_contains(key);
      const Type* inner = member_type(type, key);
      Value merged = old ? merge_applied(*old, value, inner) : value;
      result[key] = std::move(merged);
    }
    return Value(std::move(result));
  }
  if ((shape == Structure::Keyed || shape == Structure::Set) && live.is_array()) {
    return merge_lists(live.get_array(), applied.get_array(), *type);
  }
  return applied;
}

void remove_fields(Value& value, const FieldSet& leaving, const FieldSet& kept, const Type* type) {
  const Structure shape = structure_of(value, type);
  // True when nothing of the child is left to stay.
  const auto remove_child = [&](Value& child, const std::string& step, const Type* inner) {
    const FieldSet* gone = leaving.find(step);
    if (!gone) {
      return false;
    }
    const FieldSet* theirs = kept.find(step);
    if (gone->member && !theirs) {
      return true;
    }
    static const FieldSet kNone;
    remove_fields(child, *gone, theirs ? *theirs : kNone, inner);
    const bool hollow =
        (child.is_object() && child.get_object().empty()) || (child.is_array() && child.get_array().empty());
    return hollow && !theirs && !gone->children.empty();
  };
  if (shape == Structure::Members) {
    std::vector<std::string> emptied;
    for (auto&& entry : value.get_object()) {
      const std::string key(entry.key());
      if (remove_child(entry.value(), field_step(key), member_type(type, key))) {
        emptied.push_back(key);
      }
    }
    for (const std::string& key : emptied) {
      value.get_object().erase(key);
    }
  } else if (shape == Structure::Keyed || shape == Structure::Set) {
    Array& items = value.get_array();
    const auto goes = [&](Value& item) { return remove_child(item, item_step(*type, item), type->element); };
    items.erase(std::remove_if(items.begin(), items.end(), goes), items.end());
  }
}

}  // namespace llmd::apiserver
