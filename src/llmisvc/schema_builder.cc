#include "llmisvc/schema_builder.h"

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

}  // namespace

json::Value object(std::string_view description, std::vector<Field> fields,
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

json::Value map_of(std::string_view description, json::Value values) {
  json::Object schema = typed("object", description);
  schema["additionalProperties"] = std::move(values);
  return json::Value(std::move(schema));
}

json::Value list_of(std::string_view description, json::Value items, std::string_view key) {
  json::Object schema = typed("array", description);
  schema["items"] = std::move(items);
  if (!key.empty()) {
    schema["x-kubernetes-list-type"] = "map";
    schema["x-kubernetes-list-map-keys"] = json::Array{text(key)};
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
