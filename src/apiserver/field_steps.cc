#include "apiserver/field_steps.h"

#include "json/value.h"

namespace llmd::apiserver {

using json::Value;
using kube::Shape;
using kube::Type;

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

std::string field_step(std::string_view name) {
  return "f:" + std::string(name);
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

}  // namespace llmd::apiserver
