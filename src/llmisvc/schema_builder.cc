#include "llmisvc/schema_builder.h"

#include <algorithm>

#include "base/strings.h"

namespace llmd::llmisvc::schema {
namespace {

json::Value text(std::string_view value) {
  return json::Value(json::String(value.data(), value.size()));
}

json::Object typed(std::string_view type, std::string_view description) {
  json::Object schema;
  if (!description.empty()) {
    schema["description"] = text(description);
  }
  schema["type"] = text(type);
  return schema;
}

bool is_text_in(const json::Object& schema, std::string_view list, std::string_view name) {
  const auto* names = schema.if_contains(list);
  return names != nullptr && std::ranges::any_of(names->get_array(), [&](const json::Value& one) {
           return std::string_view(one.get_string()) == name;
         });
}

// null takes back what a layer below says. An API server compares it with the choices, and fills it in where
// there is a default.
void admit_null(json::Value& schema) {
  json::Object& members = schema.get_object();
  if (!members.contains("enum") && !members.contains("default")) {
    members["nullable"] = true;
  }
}

// Rules ask whether a member is there, and null is.
void refuse_null_where_asked(json::Value& schema, std::string_view cel) {
  auto* properties = schema.get_object().if_contains("properties");
  if (properties == nullptr) {
    return;
  }
  for (auto& member : properties->get_object()) {
    const std::string_view name(member.key().data(), member.key().size());
    if (cel.find(fmt::format(".{}", name)) != std::string_view::npos) {
      member.value().get_object().erase("nullable");
      refuse_null_where_asked(member.value(), cel);
    }
  }
}

}  // namespace

json::Value record(std::string_view description, std::vector<Field> fields,
                   std::vector<std::string_view> required) {
  json::Object schema = typed("object", description);
  json::Object properties;
  for (Field& field : fields) {
    properties[boost::json::string_view(field.name.data(), field.name.size())] = std::move(field.schema);
  }
  schema["properties"] = std::move(properties);
  if (!required.empty()) {
    json::Array names;
    for (const std::string_view name : required) {
      names.push_back(text(name));
    }
    schema["required"] = std::move(names);
  }
  return json::Value(std::move(schema));
}

json::Value object(std::string_view description, std::vector<Field> fields,
                   std::vector<std::string_view> required) {
  json::Value schema = record(description, std::move(fields), std::move(required));
  for (auto& member : schema.at("properties").get_object()) {
    if (!is_text_in(schema.get_object(), "required", {member.key().data(), member.key().size()})) {
      admit_null(member.value());
    }
  }
  schema.at("properties").get_object()["$patch"] = choice({}, {"delete", "replace"});
  return schema;
}

json::Value map_of(std::string_view description, json::Value values) {
  json::Object schema = typed("object", description);
  admit_null(values);
  schema["additionalProperties"] = std::move(values);
  return json::Value(std::move(schema));
}

json::Value list_of(std::string_view description, json::Value items, std::string_view keys) {
  json::Object schema = typed("array", description);
  schema["items"] = std::move(items);
  if (!keys.empty()) {
    json::Array list;
    auto* properties = schema["items"].get_object().if_contains("properties");
    for (const std::string_view key : split(keys, ' ')) {
      list.push_back(text(key));
      if (properties != nullptr) {
        properties->get_object()[key].get_object().erase("nullable");
      }
    }
    schema["x-kubernetes-list-type"] = "map";
    schema["x-kubernetes-list-map-keys"] = std::move(list);
  } else {
    schema["x-kubernetes-list-type"] = "atomic";
  }
  return json::Value(std::move(schema));
}

json::Value string(std::string_view description, std::string_view pattern) {
  json::Object schema = typed("string", description);
  if (!pattern.empty()) {
    schema["pattern"] = text(pattern);
  }
  return json::Value(std::move(schema));
}

// A DNS name of at most `longest` characters.
json::Value name(std::string_view description, int longest) {
  json::Value schema = string(description, "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$");
  schema.get_object()["minLength"] = 1;
  schema.get_object()["maxLength"] = longest;
  return schema;
}

json::Value choice(std::string_view description, std::initializer_list<std::string_view> values) {
  json::Object schema = typed("string", description);
  json::Array names;
  for (const std::string_view value : values) {
    names.push_back(text(value));
  }
  schema["enum"] = std::move(names);
  return json::Value(std::move(schema));
}

json::Value integer(std::string_view description, long long minimum, long long maximum) {
  json::Object schema = typed("integer", description);
  schema["format"] = maximum > 2147483647 ? "int64" : "int32";
  schema["minimum"] = minimum;
  if (maximum != 2147483647) {
    schema["maximum"] = maximum;
  }
  return json::Value(std::move(schema));
}

json::Value number(std::string_view description) {
  return json::Value(typed("number", description));
}
json::Value boolean(std::string_view description) {
  return json::Value(typed("boolean", description));
}

json::Value int_or_string(std::string_view description) {
  json::Object schema;
  if (!description.empty()) {
    schema["description"] = text(description);
  }
  schema["x-kubernetes-int-or-string"] = true;
  return json::Value(std::move(schema));
}

json::Value any(std::string_view description) {
  json::Object schema;
  if (!description.empty()) {
    schema["description"] = text(description);
  }
  schema["x-kubernetes-preserve-unknown-fields"] = true;
  return json::Value(std::move(schema));
}

json::Value any_object(std::string_view description) {
  json::Object schema = typed("object", description);
  schema["x-kubernetes-preserve-unknown-fields"] = true;
  return json::Value(std::move(schema));
}

json::Value with_rules(json::Value schema, std::vector<Rule> rules) {
  json::Array list;
  for (const Rule& rule : rules) {
    refuse_null_where_asked(schema, rule.cel);
    list.push_back(json::Object{{"message", text(rule.message)}, {"rule", text(rule.cel)}});
  }
  schema.get_object()["x-kubernetes-validations"] = std::move(list);
  return schema;
}

json::Value with_default(json::Value schema, json::Value value) {
  schema.get_object()["default"] = std::move(value);
  schema.get_object().erase("nullable");
  return schema;
}

std::vector<Field> any_fields(std::string_view names) {
  std::vector<Field> fields;
  for (const std::string_view name : split(names, ' ')) {
    fields.push_back({name, any()});
  }
  return fields;
}

std::vector<Field> join(std::vector<Field> a, std::vector<Field> b) {
  for (Field& field : b) {
    a.push_back(std::move(field));
  }
  return a;
}

}  // namespace llmd::llmisvc::schema
