// OpenAPI from the schema table: v3 for kubectl's validation and explain, v2 as far as old clients need one
// to exist.
#include <boost/json/array.hpp>

#include <functional>
#include <set>

#include "apiserver/discovery.h"
#include "apiserver/kinds.h"
#include "json/value.h"
#include "kube/schema.h"

namespace llmd::apiserver {

namespace {

using json::Array;
using json::Object;
using json::Value;
using kube::Shape;
using kube::StructType;
using kube::Type;

// Definitions live under one prefix; the kinds among them carry x-kubernetes-group-version-kind.
std::string definition_name(std::string_view name) {
  return "dev.llmd." + std::string(name);
}

using Wanted = std::set<const StructType*>;

Value type_schema(const Type& type, Wanted& wanted);

Object scalar_schema(Shape shape) {
  switch (shape) {
    case Shape::String:
    case Shape::Quantity:
      return {{"type", "string"}};
    case Shape::Time:
      return {{"type", "string"}, {"format", "date-time"}};
    case Shape::Integer:
      return {{"type", "integer"}, {"format", "int64"}};
    case Shape::Boolean:
      return {{"type", "boolean"}};
    case Shape::Number:
      return {{"type", "number"}};
    case Shape::IntOrString:
      return {{"oneOf", Array{Value(Object{{"type", "integer"}}), Value(Object{{"type", "string"}})}},
              {"format", "int-or-string"}};
    default:
      return {{"type", "object"}, {"x-kubernetes-preserve-unknown-fields", true}};
  }
}

Object list_schema(const Type& type, Wanted& wanted) {
  Object schema{{"type", "array"}};
  schema["items"] = type_schema(*type.element, wanted);
  if (!type.keys.empty()) {
    Array keys;
    for (const std::string_view key : type.keys) {
      keys.emplace_back(boost::json::string_view(key.data(), key.size()));
    }
    schema["x-kubernetes-list-map-keys"] = std::move(keys);
    schema["x-kubernetes-list-type"] = "map";
  } else {
    schema["x-kubernetes-list-type"] = type.set ? "set" : "atomic";
  }
  return schema;
}

Value type_schema(const Type& type, Wanted& wanted) {
  switch (type.shape) {
    case Shape::Struct:
      wanted.insert(type.definition);
      return Value{{"$ref", "#/components/schemas/" + definition_name(type.definition->name)}};
    case Shape::Map:
      return Value{{"type", "object"}, {"additionalProperties", type_schema(*type.element, wanted)}};
    case Shape::List:
      return Value(list_schema(type, wanted));
    default:
      return Value(scalar_schema(type.shape));
  }
}

Value field_schema(const kube::SchemaField& field, Wanted& wanted) {
  const Type& type = *field.type;
  Value inner = type_schema(type, wanted);
  Object schema;
  if (type.shape == Shape::Struct) {
    // A reference has no neighbours in OpenAPI 3.0, so description and extensions stand around it.
    schema["allOf"] = Array{std::move(inner)};
    schema["default"].emplace_object();
  } else {
    schema = std::move(inner.get_object());
  }
  if (!field.description.empty()) {
    schema["description"] = field.description;
  }
  if (!type.merge_key.empty()) {
    schema["x-kubernetes-patch-merge-key"] = type.merge_key;
    schema["x-kubernetes-patch-strategy"] = type.retain_keys ? "merge,retainKeys" : "merge";
  } else if (type.set) {
    schema["x-kubernetes-patch-strategy"] = "merge";
  } else if (type.retain_keys) {
    schema["x-kubernetes-patch-strategy"] = "retainKeys";
  }
  return Value(std::move(schema));
}

Object struct_schema(const StructType& type, Wanted& wanted) {
  Object schema{{"type", "object"}};
  if (!type.description.empty()) {
    schema["description"] = type.description;
  }
  Object& properties = schema["properties"].emplace_object();
  Array required;
  for (const kube::SchemaField& field : type.fields) {
    properties[field.name] = field_schema(field, wanted);
    if (field.required) {
      required.emplace_back(boost::json::string_view(field.name.data(), field.name.size()));
    }
  }
  if (!required.empty()) {
    schema["required"] = std::move(required);
  }
  return schema;
}

Array kind_extension(const kube::Resource& resource) {
  return {Value(Object{{"group", resource.group}, {"version", resource.version}, {"kind", resource.kind}})};
}

// kubectl leaves validation to the server when it finds this parameter at the PATCH operation of a kind.
Object patch_operation(const kube::Resource& resource) {
  Array parameters;
  for (const char* name : {"dryRun", "fieldManager", "fieldValidation", "force"}) {
    parameters.push_back(
        {{"name", name}, {"in", "query"}, {"schema", {{"type", "string"}, {"uniqueItems", true}}}});
  }
  Object operation;
  operation["parameters"] = std::move(parameters);
  operation["responses"] = {{"200", {{"description", "OK"}}}};
  Object& extension = operation["x-kubernetes-group-version-kind"].emplace_object();
  extension["group"] = resource.group;
  extension["version"] = resource.version;
  extension["kind"] = resource.kind;
  operation["x-kubernetes-action"] = "patch";
  return operation;
}

Object group_document(const GroupVersion& version) {
  Object paths;
  Object schemas;
  Wanted wanted;
  Wanted done;
  for (const Kind& kind : served_kinds()) {
    if (kind.resource.group != version.group || kind.resource.version != version.version) {
      continue;
    }
    paths[kind.resource.path("{namespace}", "{name}")] = {{"patch", patch_operation(kind.resource)}};
    if (!kind.schema) {
      Object plain = scalar_schema(Shape::Any);
      plain["x-kubernetes-group-version-kind"] = kind_extension(kind.resource);
      schemas[definition_name(kind.resource.kind)] = std::move(plain);
      continue;
    }
    Object schema = struct_schema(*kind.schema->definition, wanted);
    schema["x-kubernetes-group-version-kind"] = kind_extension(kind.resource);
    schemas[definition_name(kind.resource.kind)] = std::move(schema);
    done.insert(kind.schema->definition);
  }
  while (wanted.size() > done.size()) {
    for (const StructType* type : Wanted(wanted)) {
      if (done.insert(type).second) {
        schemas[definition_name(type->name)] = struct_schema(*type, wanted);
      }
    }
    wanted.insert(done.begin(), done.end());
  }
  Object document{{"openapi", "3.0.0"}};
  document["info"] = {{"title", "llmd"}, {"version", "v1.31.0"}};
  document["paths"] = std::move(paths);
  document["components"].emplace_object()["schemas"] = std::move(schemas);
  return document;
}

std::string path_of(const GroupVersion& version) {
  return (version.group.empty() ? "api/" : "apis/") + version.text();
}

Document finished(std::string body, std::string content_type) {
  Document document;
  document.body = std::move(body);
  document.content_type = std::move(content_type);
  document.etag = fmt::format("\"{:016X}\"", std::hash<std::string>()(document.body));
  return document;
}

Document index_document() {
  static const Document index = [] {
    Object paths;
    for (const GroupVersion& version : served_group_versions()) {
      const std::string body = json::write(Value(group_document(version)));
      paths[path_of(version)] = {
          {"serverRelativeURL",
           fmt::format("/openapi/v3/{}?hash={:016X}", path_of(version), std::hash<std::string>()(body))}};
    }
    return finished(json::write(Value{{"paths", std::move(paths)}}), "application/json");
  }();
  return index;
}

// A gnostic openapi.v2.Document in protobuf: swagger (field 1) and info (field 2) with title and version. It
// defines nothing, so old clients have nothing to validate against and leave it to the server.
Document old_document(std::string_view accept) {
  if (accept.find("protobuf") == std::string_view::npos) {
    return finished(
        R"({"swagger":"2.0","info":{"title":"llmd","version":"v1.31.0"},"paths":{},"definitions":{}})",
        "application/json");
  }
  const auto field = [](char number, std::string_view content) {
    std::string out;
    out += static_cast<char>(number << 3 | 2);
    out += static_cast<char>(content.size());
    return out + std::string(content);
  };
  const std::string info = field(1, "llmd") + field(2, "v1.31.0");
  return finished(field(1, "2.0") + field(2, info) + field(8, "") + field(9, ""),
                  "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
}

}  // namespace

std::optional<Document> openapi_document(std::string_view path, std::string_view accept) {
  if (path == "/openapi/v2") {
    return old_document(accept);
  }
  if (path == "/openapi/v3" || path == "/openapi/v3/") {
    return index_document();
  }
  for (const GroupVersion& version : served_group_versions()) {
    if (path == "/openapi/v3/" + path_of(version)) {
      Document document = finished(json::write(Value(group_document(version))), "application/json");
      document.immutable = true;
      return document;
    }
  }
  return std::nullopt;
}

}  // namespace llmd::apiserver
