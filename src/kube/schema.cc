#include "kube/schema.h"

#include <deque>
#include <map>

#include "base/assert.h"
#include "base/strings.h"
#include "json/value.h"
#include "kube/schema_data.h"

namespace llmd::kube {

namespace {

// Owns every type; addresses are stable because the deques only grow.
class Registry {
 public:
  Registry() {
    for (const std::string_view text : {kSchemaMeta, kSchemaPod, kSchemaVolumes, kSchemaCore, kSchemaApps,
                                        kSchemaGateway, kSchemaServing}) {
      read(text);
    }
    for (const StructType& definition : definitions_) {
      list_.push_back(&definition);
      Type& type = types_.emplace_back();
      type.shape = Shape::Struct;
      type.definition = &definition;
      objects_.emplace(definition.name, &type);
    }
  }
  const Type* object(std::string_view kind) const {
    const auto found = objects_.find(kind);
    return found == objects_.end() ? nullptr : found->second;
  }
  std::span<const StructType* const> list() const { return list_; }

 private:
  struct Flags {
    std::string_view keys, merge, fallback, description;
    bool set = false, atomic = false, retain = false;
  };

  StructType& definition(std::string_view name) {
    if (const auto found = by_name_.find(name); found != by_name_.end()) {
      return *found->second;
    }
    StructType& made = definitions_.emplace_back();
    made.name = name;
    by_name_.emplace(name, &made);
    return made;
  }

  static std::string_view take_word(std::string_view& line) {
    line = trim(line);
    const std::size_t end = std::min(line.find(' '), line.size());
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(end);
    return word;
  }

  static Flags take_flags(std::string_view line) {
    Flags flags;
    if (const std::size_t hash = line.find('#'); hash != std::string_view::npos) {
      flags.description = trim(line.substr(hash + 1));
      line = line.substr(0, hash);
    }
    for (std::string_view word = take_word(line); !word.empty(); word = take_word(line)) {
      const auto value = [&](std::string_view prefix) { return word.substr(prefix.size()); };
      if (word.starts_with("key=")) {
        flags.keys = value("key=");
      } else if (word.starts_with("merge=")) {
        flags.merge = value("merge=");
      } else if (word.starts_with("default=")) {
        flags.fallback = value("default=");
      } else if (word == "set") {
        flags.set = true;
      } else if (word == "atomic") {
        flags.atomic = true;
      } else {
        LLMD_ASSERT(word == "retain", "unknown word in a schema table");
        flags.retain = true;
      }
    }
    return flags;
  }

  Type* make_type(std::string_view text) {
    static constexpr std::pair<std::string_view, Shape> kScalars[] = {{"any", Shape::Any},
                                                                      {"string", Shape::String},
                                                                      {"int", Shape::Integer},
                                                                      {"bool", Shape::Boolean},
                                                                      {"number", Shape::Number},
                                                                      {"quantity", Shape::Quantity},
                                                                      {"intstr", Shape::IntOrString},
                                                                      {"time", Shape::Time}};
    Type& type = types_.emplace_back();
    if (text.starts_with("[]") || text.starts_with("{}")) {
      type.shape = text.starts_with("[]") ? Shape::List : Shape::Map;
      type.element = make_type(text.substr(2));
      return &type;
    }
    for (const auto& [name, shape] : kScalars) {
      if (name == text) {
        type.shape = shape;
        return &type;
      }
    }
    type.shape = Shape::Struct;
    type.definition = &definition(text);
    return &type;
  }

  void read(std::string_view text) {
    StructType* current = nullptr;
    for (std::string_view line : split(text, '\n')) {
      std::string_view word = take_word(line);
      if (word.empty()) {
        continue;
      }
      if (word == "struct") {
        current = &definition(take_word(line));
        const Flags flags = take_flags(line);
        current->description = flags.description;
        continue;
      }
      LLMD_ASSERT(current != nullptr, "a schema table begins with a type");
      current->fields.push_back(read_field(word, line));
    }
  }

  SchemaField read_field(std::string_view name, std::string_view line) {
    SchemaField field;
    field.required = name.ends_with('!');
    field.name = field.required ? name.substr(0, name.size() - 1) : name;
    Type* type = make_type(take_word(line));
    const Flags flags = take_flags(line);
    field.description = flags.description;
    type->set = flags.set;
    type->atomic = flags.atomic || (type->shape == Shape::List && flags.keys.empty() && !flags.set);
    // A selector changes as a whole: half of an old one and half of a new one match nothing.
    type->atomic = type->atomic || (type->definition && is_atomic_struct(type->definition->name));
    if (!flags.keys.empty()) {
      type->keys = split(flags.keys, ',');
    }
    type->merge_key = flags.merge;
    type->retain_keys = flags.retain;
    if (!flags.fallback.empty()) {
      auto parsed = json::parse(flags.fallback);
      LLMD_ASSERT(parsed.has_value(), "a default in a schema table is JSON");
      field.fallback = std::move(*parsed);
    }
    field.type = type;
    return field;
  }

  static bool is_atomic_struct(std::string_view name) {
    return name == "LabelSelector" || name == "LocalObjectReference" || name == "ObjectReference" ||
           name == "KeySelector" || name == "FieldRef";
  }

  std::deque<StructType> definitions_;
  std::deque<Type> types_;
  std::map<std::string_view, StructType*> by_name_;
  std::map<std::string_view, const Type*> objects_;
  std::vector<const StructType*> list_;
};

const Registry& registry() {
  static const Registry instance;
  return instance;
}

}  // namespace

const SchemaField* StructType::find(std::string_view field) const {
  for (const SchemaField& candidate : fields) {
    if (candidate.name == field) {
      return &candidate;
    }
  }
  return nullptr;
}

const Type* schema_of_kind(std::string_view kind) {
  return registry().object(kind);
}

std::span<const StructType* const> schema_structs() {
  return registry().list();
}

std::string list_item_key(const Type& list, const boost::json::value& item) {
  const boost::json::object* object = item.if_object();
  if (!object) {
    return {};
  }
  boost::json::object key;
  for (const std::string_view name : list.keys) {  // the table names them in sorted order
    const boost::json::value* value = object->if_contains(name);
    if (value && !value->is_null()) {
      key.emplace(name, *value);
      continue;
    }
    const StructType* definition = list.element->definition;
    const SchemaField* field = definition ? definition->find(name) : nullptr;
    if (!field || !field->fallback) {
      return {};
    }
    key.emplace(name, *field->fallback);
  }
  return json::write(boost::json::value(std::move(key)));
}

}  // namespace llmd::kube
