// What two versions of an object differ in.
#include <boost/json/array.hpp>

#include "apiserver/field_set.h"
#include "apiserver/field_steps.h"
#include "json/value.h"

namespace llmd::apiserver {
namespace {

using json::Array;
using json::Object;
using json::Value;
using kube::Shape;
using kube::Type;

void mark(Difference& into, FieldSet Difference::* which, const std::string& step, FieldSet set) {
  if (!set.empty()) {
    (into.*which).children.insert_or_assign(step, std::move(set));
  }
}

void collect(Difference& into, const std::string& step, Difference part) {
  mark(into, &Difference::added, step, std::move(part.added));
  mark(into, &Difference::modified, step, std::move(part.modified));
  mark(into, &Difference::removed, step, std::move(part.removed));
}

// Every field below a value that appeared or vanished, the containers included.
FieldSet everything(const Value& value, const Type* type) {
  FieldSet set;
  set.member = true;
  switch (structure_of(value, type)) {
    case Structure::Members:
      for (const auto& [key, member] : value.get_object()) {
        set.children.emplace(field_step(key), everything(member, member_type(type, key)));
      }
      // Structs are always there; only maps and items are things of their own.
      set.member = set.children.empty() || (type && type->shape == Shape::Map);
      break;
    case Structure::Keyed:
    case Structure::Set:
      for (const Value& item : value.get_array()) {
        FieldSet inner = everything(item, type->element);
        inner.member = true;
        set.children.insert_or_assign(item_step(*type, item), std::move(inner));
      }
      break;
    case Structure::Leaf:
      break;
  }
  return set;
}

std::map<std::string, const Value*> items_by_step(const Type& type, const Array& list) {
  std::map<std::string, const Value*> items;
  for (const Value& item : list) {
    items.emplace(item_step(type, item), &item);
  }
  return items;
}

Difference vanished_or_new(const Value* before, const Value* after, const Type* type, bool item) {
  Difference difference;
  FieldSet& set = before ? difference.removed : difference.added;
  set = everything(before ? *before : *after, type);
  set.member = set.member || item;
  return difference;
}

Difference compare_items(const Array& before, const Array& after, const Type& type) {
  Difference difference;
  const auto old_items = items_by_step(type, before);
  const auto new_items = items_by_step(type, after);
  for (const auto& [step, item] : old_items) {
    const auto now = new_items.find(step);
    collect(difference, step,
            now == new_items.end() ? vanished_or_new(item, nullptr, type.element, true)
                                   : compare(*item, *now->second, type.element));
  }
  for (const auto& [step, item] : new_items) {
    if (!old_items.contains(step)) {
      collect(difference, step, vanished_or_new(nullptr, item, type.element, true));
    }
  }
  return difference;
}

Difference compare_members(const Object& before, const Object& after, const Type* type) {
  Difference difference;
  for (const auto& [key, value] : before) {
    const Value* now = after.if_contains(key);
    const Type* inner = member_type(type, key);
    collect(difference, field_step(key),
            now ? compare(value, *now, inner) : vanished_or_new(&value, nullptr, inner, false));
  }
  for (const auto& [key, value] : after) {
    if (!before.contains(key)) {
      collect(difference, field_step(key), vanished_or_new(nullptr, &value, member_type(type, key), false));
    }
  }
  return difference;
}

}  // namespace

Difference compare(const Value& before, const Value& after, const Type* type) {
  if (before == after) {
    return {};
  }
  const Structure shape = structure_of(after, type);
  if (shape == structure_of(before, type) && before.kind() == after.kind()) {
    if (shape == Structure::Members) {
      return compare_members(before.get_object(), after.get_object(), type);
    }
    if (shape == Structure::Keyed || shape == Structure::Set) {
      return compare_items(before.get_array(), after.get_array(), *type);
    }
  }
  Difference difference;
  difference.modified.member = true;
  return difference;
}

}  // namespace llmd::apiserver
