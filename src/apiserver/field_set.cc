#include "apiserver/field_set.h"

#include <boost/json/array.hpp>

#include <algorithm>
#include <set>

#include "json/value.h"

namespace llmd::apiserver {

namespace {

using json::Array;
using json::Object;
using json::Value;
using kube::Shape;
using kube::Type;

constexpr int kMaxDepth = 100;
constexpr std::size_t kMaxSteps = 100000;

std::string field_step(std::string_view name) {
  return "f:" + std::string(name);
}

const Type* member_type(const Type* type, std::string_view name) {
  if (!type) {
    return nullptr;
  }
  if (type->shape == Shape::Map) {
    return type->element;
  }
  const kube::SchemaField* field = type->definition ? type->definition->find(name) : nullptr;
  return field ? field->type : nullptr;
}

// Without a schema objects merge member by member and lists are replaced, as for schemaless fields of custom
// resources.
enum class Structure { Leaf, Members, Keyed, Set };
Structure structure_of(const Value& value, const Type* type) {
  if (type && type->atomic) {
    return Structure::Leaf;
  }
  if (value.is_object()) {
    return Structure::Members;
  }
  if (value.is_array() && type && type->shape == Shape::List) {
    return type->set ? Structure::Set : !type->keys.empty() ? Structure::Keyed : Structure::Leaf;
  }
  return Structure::Leaf;
}

std::string item_step(const Type& list, const Value& item) {
  return list.set ? "v:" + json::write(item) : "k:" + kube::list_item_key(list, item);
}

std::string readable(std::string_view step) {
  const std::string_view text = step.substr(2);
  if (step.starts_with("f:")) {
    return "." + std::string(text);
  }
  if (step.starts_with("v:")) {
    return fmt::format("[={}]", text);
  }
  std::string out;
  if (const auto keys = json::parse_object(text)) {
    for (const auto& [key, value] : *keys) {
      out += fmt::format("{}{}={}", out.empty() ? "" : ",", std::string_view(key), json::write(value));
    }
  }
  return "[" + out + "]";
}

bool is_declared(const Type* type, std::string_view name) {
  return type && type->definition && type->definition->find(name) != nullptr;
}

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

namespace {

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

}  // namespace

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

namespace {

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

void for_each_path(const FieldSet& set, const std::function<void(const std::string&)>& visit) {
  visit_paths(set, "", visit);
}

}  // namespace llmd::apiserver
