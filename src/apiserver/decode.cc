#include "apiserver/decode.h"

#include "json/path.h"
#include "json/value.h"
#include "json/yaml.h"

namespace llmd::apiserver {

namespace {

using json::Array;
using json::Object;
using json::Value;
using kube::Shape;
using kube::Type;

constexpr std::string_view kQuantityRule = "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

bool is_quantity(const Value& value) {
  if (value.is_number()) {
    return true;
  }
  if (!value.is_string()) {
    return false;
  }
  const std::string_view text(value.get_string());
  const std::size_t start = text.starts_with('+') || text.starts_with('-') ? 1 : 0;
  std::size_t end = start;
  while (end < text.size() && (std::isdigit(static_cast<unsigned char>(text[end])) || text[end] == '.')) {
    ++end;
  }
  if (end == start) {
    return false;
  }
  std::string_view suffix = text.substr(end);
  static constexpr std::string_view kSuffixes[] = {"",  "m", "k",  "M",  "G",  "T",  "P",  "E",
                                                   "n", "u", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
  for (const std::string_view known : kSuffixes) {
    if (known == suffix) {
      return true;
    }
  }
  if (!suffix.starts_with('e') && !suffix.starts_with('E')) {
    return false;
  }
  suffix.remove_prefix(1);
  if (suffix.starts_with('-') || suffix.starts_with('+')) {
    suffix.remove_prefix(1);
  }
  return !suffix.empty() && suffix.find_first_not_of("0123456789") == std::string_view::npos;
}

// Walks an object along its schema and writes down what does not fit.
class FieldCheck {
 public:
  std::vector<std::string> unknown;
  struct WrongType {
    std::string path;
    std::string struct_name;
    std::string got;
    std::string wanted;
    bool quantity = false;
  };
  std::vector<WrongType> wrong;
  std::vector<std::string> missing;

  void object(Value& value, const Type& type, const std::string& path, std::string_view owner) {
    if (value.is_null() || type.shape == Shape::Any) {
      return;
    }
    switch (type.shape) {
      case Shape::Struct:
        return value.is_object() ? members(value.get_object(), type, path)
                                 : mistake(value, "object", path, owner);
      case Shape::Map:
        return value.is_object() ? entries(value.get_object(), type, path, owner)
                                 : mistake(value, "map", path, owner);
      case Shape::List:
        return value.is_array() ? items(value.get_array(), type, path, owner)
                                : mistake(value, "array", path, owner);
      default:
        return scalar(value, type.shape, path, owner);
    }
  }

 private:
  void members(Object& object_value, const Type& type, const std::string& path) {
    std::vector<std::string> leaving;
    for (auto& [key, value] : object_value) {
      const kube::SchemaField* field = type.definition->find(key);
      const std::string member = json::path_member(path, key);
      if (value.is_null()) {
        leaving.emplace_back(key);  // typed clients write null for what they leave out
      } else if (!field) {
        unknown.push_back(member);
        leaving.emplace_back(key);
      } else {
        object(value, *field->type, member, type.definition->name);
      }
    }
    for (const std::string& key : leaving) {
      object_value.erase(key);
    }
    for (const kube::SchemaField& field : type.definition->fields) {
      const Value* value = object_value.if_contains(field.name);
      if (field.required && (!value || value->is_null())) {
        missing.push_back(json::path_member(path, field.name));
      }
    }
  }
  void entries(Object& map, const Type& type, const std::string& path, std::string_view owner) {
    for (auto& [key, value] : map) {
      object(value, *type.element, json::path_member(path, key), owner);
    }
  }
  void items(Array& list, const Type& type, const std::string& path, std::string_view owner) {
    for (std::size_t i = 0; i < list.size(); ++i) {
      object(list[i], *type.element, json::path_index(path, i), owner);
    }
  }
  void scalar(const Value& value, Shape shape, const std::string& path, std::string_view owner) {
    switch (shape) {
      case Shape::Boolean:
        return value.is_bool() ? void() : mistake(value, "bool", path, owner);
      case Shape::Integer:
        return json::as_integer(value) ? void() : mistake(value, "int32", path, owner);
      case Shape::Number:
        return value.is_number() ? void() : mistake(value, "float64", path, owner);
      case Shape::IntOrString:
        return value.is_string() || json::as_integer(value) ? void() : mistake(value, "int32", path, owner);
      case Shape::Quantity:
        if (!is_quantity(value)) {
          wrong.push_back({path, std::string(owner), go_kind(value), "Quantity", true});
        }
        return;
      default:
        return value.is_string() ? void() : mistake(value, "string", path, owner);
    }
  }
  void mistake(const Value& value, std::string_view wanted, const std::string& path, std::string_view owner) {
    wrong.push_back({path, std::string(owner), go_kind(value), std::string(wanted)});
  }
  static std::string go_kind(const Value& value) {
    return value.is_object()   ? "object"
           : value.is_array()  ? "array"
           : value.is_string() ? "string"
           : value.is_bool()   ? "bool"
                               : "number";
  }
};

Failure wrong_type(const Request& request, std::string_view name, const FieldCheck& check) {
  const kube::Resource& resource = request.resource();
  const auto& first = check.wrong.front();
  const std::string prefix = fmt::format("{} in version \"{}\" cannot be handled as a {}: ", resource.kind,
                                         resource.version, resource.kind);
  if (request.kind().custom) {
    std::vector<Cause> causes;
    for (const auto& wrong : check.wrong) {
      causes.push_back({"FieldValueTypeInvalid",
                        fmt::format("Invalid value: {}: {} in body must be of type {}: {}",
                                    go_quoted(wrong.got), wrong.path,
                                    wrong.wanted == "int32"  ? "integer"
                                    : wrong.wanted == "bool" ? "boolean"
                                                             : wrong.wanted,
                                    go_quoted(wrong.got)),
                        wrong.path});
    }
    return invalid_object(resource, name, causes);
  }
  if (first.quantity && first.got == "string") {
    return bad_request(prefix + "quantities must match the regular expression " + std::string(kQuantityRule));
  }
  return bad_request(prefix + fmt::format("json: cannot unmarshal {} into Go struct field {}.{} of type {}",
                                          first.got, first.struct_name, first.path, first.wanted));
}

Answer<> check_kind(const Request& request, const Object& object) {
  const kube::Resource& resource = request.resource();
  const std::string_view kind = kube::kind_of(object);
  const std::string_view version = kube::api_version_of(object);
  if ((kind.empty() && version.empty()) || (kind == resource.kind && version == resource.api_version())) {
    return {};
  }
  if (kind.empty() || version.empty()) {
    return std::unexpected(bad_request(
        fmt::format("the object provided is unrecognized (must be of type {}): Object '{}' is missing",
                    resource.kind, kind.empty() ? "Kind" : "apiVersion")));
  }
  if (kind == resource.kind) {
    return std::unexpected(bad_request(
        fmt::format("the API version in the data ({}) does not match the expected API version ({})", version,
                    resource.api_version())));
  }
  return std::unexpected(bad_request(fmt::format(
      "{} in version \"{}\" cannot be handled as a {}: converting ({}.{}) to ({}.{}): unknown conversion",
      kind, resource.version, resource.kind, version.substr(version.find('/') + 1), kind,
      resource.group.empty() ? "core" : resource.group.substr(0, resource.group.find('.')), resource.kind)));
}

}  // namespace

Answer<Value> read_body(const Request& request) {
  const bool yaml =
      request.content_type == "application/yaml" || request.content_type == "application/apply-patch+yaml";
  // Apply patches are declared YAML and mostly JSON, which is read faster as what it is.
  if (yaml && !request.body.starts_with('{')) {
    auto documents = json::parse_yaml(request.body, "body");
    if (!documents || documents->size() != 1) {
      return std::unexpected(
          bad_request(documents ? "expected exactly one YAML document" : documents.error().message));
    }
    return std::move(documents->front().value);
  }
  const bool patch = request.content_type.ends_with("-patch+json");
  if (!patch && !yaml && !request.content_type.empty() && request.content_type != "application/json" &&
      request.content_type != "*/*") {
    return std::unexpected(unsupported_media_type(kObjectTypes));
  }
  auto value = json::parse(request.body);
  if (!value) {
    const std::string why = request.body.empty() ? "unexpected end of JSON input" : value.error().message;
    if (patch) {
      return std::unexpected(bad_request(request.body.empty() ? why : "error decoding patch: " + why));
    }
    return std::unexpected(bad_request(fmt::format(
        "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse "
        "error: {} ({})",
        request.resource().kind, why, request.body.empty() ? "<empty>" : request.body.substr(0, 60))));
  }
  return std::move(*value);
}

Answer<> check_fields(Request& request, Object& object) {
  const Type* schema = request.kind().schema;
  if (!schema) {
    return {};
  }
  FieldCheck check;
  Value whole(std::move(object));
  check.object(whole, *schema, "", request.resource().kind);
  object = std::move(whole.get_object());
  if (!check.wrong.empty()) {
    return std::unexpected(wrong_type(request, kube::name_of(object), check));
  }
  if (!check.unknown.empty() && request.validation == FieldValidation::Strict) {
    std::string list;
    for (const std::string& path : check.unknown) {
      list += fmt::format("{}unknown field {}", list.empty() ? "" : ", ", go_quoted(path));
    }
    const kube::Resource& resource = request.resource();
    return std::unexpected(bad_request(
        request.kind().custom
            ? "strict decoding error: " + list
            : fmt::format("{} in version \"{}\" cannot be handled as a {}: strict decoding error: {}",
                          resource.kind, resource.version, resource.kind, list)));
  }
  if (request.validation == FieldValidation::Warn) {
    for (const std::string& path : check.unknown) {
      request.warnings.push_back(fmt::format("unknown field {}", go_quoted(path)));
    }
  }
  return {};
}

std::vector<Cause> missing_fields(const Kind& kind, const Object& object) {
  if (!kind.schema) {
    return {};
  }
  FieldCheck check;
  Value copy(object);
  check.object(copy, *kind.schema, "", kind.resource.kind);
  std::vector<Cause> causes;
  for (const std::string& path : check.missing) {
    // Presets leave the containers of a template to the service that refers to them, and the other way round.
    if (!kind.custom || !path.ends_with(".containers")) {
      causes.push_back(required_value(path));
    }
  }
  return causes;
}

Answer<Object> decode_object(Request& request, Value body) {
  if (!body.is_object()) {
    return std::unexpected(bad_request(
        fmt::format("the object provided is unrecognized (must be of type {}): expected an object, got {}",
                    request.resource().kind, json::kind_name(body))));
  }
  Object object = std::move(body.get_object());
  LLMD_TRY_VOID(check_kind(request, object));
  object["apiVersion"] = request.resource().api_version();
  object["kind"] = request.resource().kind;
  if (!kube::find_object(object, "metadata")) {
    object["metadata"].emplace_object();
  }
  LLMD_TRY_VOID(check_fields(request, object));
  return object;
}

}  // namespace llmd::apiserver
