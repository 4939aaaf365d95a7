#include "apiserver/field_set.h"

#include <boost/json/array.hpp>

#include <set>

#include "apiserver/field_steps.h"
#include "json/value.h"

namespace llmd::apiserver {

using json::Object;
using json::Value;
using kube::Shape;
using kube::Type;

namespace {

constexpr int kMaxDepth = 100;
constexpr std::size_t kMaxSteps = 100000;

bool is_declared(const Type* type, std::string_view name) {
  return type && type->definition && type->definition->find(name) != nullptr;
}

Result<FieldSet> read_set(const Value& fields, int depth, std::size_t& steps) {
  if (!fields.is_object() || depth > kMaxDepth || steps > kMaxSteps) {
    return invalid_argument("fieldsV1: expected nested objects of bounded size");
  }
  FieldSet set;
  set.member = fields.get_object().empty() && depth > 0;
  for (const auto& [key, value] : fields.get_object()) {
    ++steps;
    if (key == ".") {
      set.member = true;
      continue;
    }
    LLMD_TRY(auto child, read_set(value, depth + 1, steps));
    set.children.emplace(std::string(key), std::move(child));
  }
  return set;
}

void visit_paths(const FieldSet& set, const std::string& path,
                 const std::function<void(const std::string&)>& visit) {
  if (set.member) {
    visit(path);
  }
  for (const auto& [step, child] : set.children) {
    visit_paths(child, path + readable(step), visit);
  }
}

}  // namespace

const FieldSet* FieldSet::find(std::string_view step) const {
  const auto found = children.find(step);
  return found == children.end() ? nullptr : &found->second;
}

Object FieldSet::to_json() const {
  Object object;
  if (member && !children.empty()) {
    object["."].emplace_object();
  }
  for (const auto& [step, child] : children) {
    object[step] = child.to_json();
  }
  return object;
}

Result<FieldSet> FieldSet::from_json(const Value& fields) {
  std::size_t steps = 0;
  return read_set(fields, 0, steps);
}

FieldSet& FieldSet::operator|=(const FieldSet& other) {
  member = member || other.member;
  for (const auto& [step, child] : other.children) {
    children[step] |= child;
  }
  return *this;
}

FieldSet& FieldSet::operator-=(const FieldSet& other) {
  member = member && !other.member;
  for (const auto& [step, child] : other.children) {
    const auto mine = children.find(step);
    if (mine != children.end()) {
      mine->second -= child;
      if (mine->second.empty()) {
        children.erase(mine);
      }
    }
  }
  return *this;
}

FieldSet FieldSet::operator&(const FieldSet& other) const {
  FieldSet both;
  both.member = member && other.member;
  for (const auto& [step, child] : children) {
    if (const FieldSet* theirs = other.find(step)) {
      FieldSet common = child & *theirs;
      if (!common.empty()) {
        both.children.emplace(step, std::move(common));
      }
    }
  }
  return both;
}

FieldSet fields_of(const Value& value, const Type* type) {
  FieldSet set;
  switch (structure_of(value, type)) {
    case Structure::Members:
      set.member = value.get_object().empty();
      for (const auto& [key, member] : value.get_object()) {
        FieldSet inner = fields_of(member, member_type(type, key));
        inner.member = inner.member || (!is_declared(type, key) && type && type->shape == Shape::Map);
        set.children.emplace(field_step(key), std::move(inner));
      }
      break;
    case Structure::Keyed:
    case Structure::Set:
      set.member = value.get_array().empty();
      for (const Value& item : value.get_array()) {
        FieldSet inner = fields_of(item, type->element);
        inner.member = true;
        set.children.insert_or_assign(item_step(*type, item), std::move(inner));
      }
      break;
    case Structure::Leaf:
      set.member = true;
      break;
  }
  return set;
}

std::string key_mistake(const Value& value, const Type* type, const std::string& path) {
  const Structure shape = structure_of(value, type);
  std::set<std::string> seen;
  if (shape == Structure::Members) {
    for (const auto& [key, member] : value.get_object()) {
      std::string mistake = key_mistake(member, member_type(type, key), path + "." + std::string(key));
      if (!mistake.empty()) {
        return mistake;
      }
    }
  } else if (shape == Structure::Keyed || shape == Structure::Set) {
    for (const Value& item : value.get_array()) {
      const std::string step = item_step(*type, item);
      if (step == "k:") {
        return path + ": an item without its key";
      }
      if (!seen.insert(step).second) {
        return path + ": duplicate entries for key " + readable(step);
      }
      std::string mistake = key_mistake(item, type->element, path + readable(step));
      if (!mistake.empty()) {
        return mistake;
      }
    }
  }
  return {};
}

void for_each_path(const FieldSet& set, const std::function<void(const std::string&)>& visit) {
  visit_paths(set, "", visit);
}

}  // namespace llmd::apiserver
