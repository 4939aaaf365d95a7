#include "apiserver/failure.h"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "json/value.h"

namespace llmd::apiserver {

namespace {

std::string qualified(const kube::Resource& resource) {
  return resource.group.empty() ? std::string(resource.plural)
                                : fmt::format("{}.{}", resource.plural, resource.group);
}

boost::json::object details_of(const kube::Resource& resource, std::string_view name) {
  boost::json::object details;
  if (!name.empty()) {
    details["name"] = name;
  }
  if (!resource.group.empty()) {
    details["group"] = resource.group;
  }
  details["kind"] = resource.plural;
  return details;
}

boost::json::array causes_array(const std::vector<Cause>& causes) {
  boost::json::array list;
  for (const Cause& cause : causes) {
    list.push_back({{"reason", cause.reason}, {"message", cause.message}, {"field", cause.field}});
  }
  return list;
}

std::string causes_text(const std::vector<Cause>& causes) {
  std::string text;
  for (const Cause& cause : causes) {
    text += text.empty() ? "" : ", ";
    text += fmt::format("{}: {}", cause.field, cause.message);
  }
  return causes.size() == 1 ? text : "[" + text + "]";
}

}  // namespace

boost::json::object Failure::status() const {
  boost::json::object body{{"kind", "Status"}, {"apiVersion", "v1"}};
  body["metadata"].emplace_object();
  body["status"] = "Failure";
  body["message"] = message;
  if (!reason.empty()) {
    body["reason"] = reason;
  }
  if (!details.empty()) {
    body["details"] = details;
  }
  body["code"] = code;
  return body;
}

std::string go_quoted(std::string_view text) {
  std::string out;
  json::write_quoted_to(out, text);
  return out;
}

Failure bad_request(std::string message) {
  return {400, "BadRequest", std::move(message), {}};
}
Failure unauthorized() {
  return {401, "Unauthorized", "Unauthorized", {}};
}

Failure object_not_found(const kube::Resource& resource, std::string_view name) {
  return {404, "NotFound", fmt::format("{} {} not found", qualified(resource), go_quoted(name)),
          details_of(resource, name)};
}

Failure path_not_found() {
  return {404, "NotFound", "the server could not find the requested resource", {}};
}

Failure object_exists(const kube::Resource& resource, std::string_view name) {
  return {409, "AlreadyExists", fmt::format("{} {} already exists", qualified(resource), go_quoted(name)),
          details_of(resource, name)};
}

Failure conflict_on(const kube::Resource& resource, std::string_view name, std::string_view why) {
  if (why.empty()) {
    why = "the object has been modified; please apply your changes to the latest version and try again";
  }
  return {
      409, "Conflict",
      fmt::format("Operation cannot be fulfilled on {} {}: {}", qualified(resource), go_quoted(name), why),
      details_of(resource, name)};
}

Failure forbidden(const kube::Resource& resource, std::string_view name, std::string_view why) {
  return {403, "Forbidden", fmt::format("{} {} is forbidden: {}", qualified(resource), go_quoted(name), why),
          details_of(resource, name)};
}

Failure invalid_object(const kube::Resource& resource, std::string_view name,
                       const std::vector<Cause>& causes) {
  const std::string kind = resource.group.empty() ? std::string(resource.kind)
                                                  : fmt::format("{}.{}", resource.kind, resource.group);
  boost::json::object details = details_of(resource, name);
  details["kind"] = resource.kind;
  details["causes"] = causes_array(causes);
  return {422, "Invalid", fmt::format("{} {} is invalid: {}", kind, go_quoted(name), causes_text(causes)),
          std::move(details)};
}

Failure invalid_option(std::string_view options_kind, const Cause& cause) {
  boost::json::object details{{"group", "meta.k8s.io"}, {"kind", options_kind}};
  details["causes"] = causes_array({cause});
  return {422, "Invalid",
          fmt::format("{}.meta.k8s.io \"\" is invalid: {}: {}", options_kind, cause.field, cause.message),
          std::move(details)};
}

Failure method_not_allowed() {
  return {405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {}};
}

Failure unsupported_media_type(std::string_view accepted) {
  return {415,
          "UnsupportedMediaType",
          fmt::format("the body of the request was in an unknown format - accepted media types include: {}",
                      accepted),
          {}};
}

Failure not_acceptable() {
  return {406,
          "NotAcceptable",
          "only the following media types are accepted: application/json, application/yaml",
          {}};
}

Failure expired(std::string message) {
  return {410, "Expired", std::move(message), {}};
}

Failure internal_failure(const Error& error) {
  return {http_status(error.kind), "InternalError", "Internal error occurred: " + error.text(), {}};
}

Failure not_implemented(std::string message) {
  return {501, "NotImplemented", std::move(message), {}};
}

Cause invalid_value(std::string field, std::string shown, std::string_view detail) {
  return {"FieldValueInvalid", fmt::format("Invalid value: {}: {}", shown, detail), std::move(field)};
}

Cause required_value(std::string field, std::string_view detail) {
  return {"FieldValueRequired", detail.empty() ? "Required value" : fmt::format("Required value: {}", detail),
          std::move(field)};
}

Cause forbidden_value(std::string field, std::string_view detail) {
  return {"FieldValueForbidden", fmt::format("Forbidden: {}", detail), std::move(field)};
}

Cause unsupported_value(std::string field, std::string_view value,
                        const std::vector<std::string_view>& supported) {
  std::string list;
  for (const std::string_view one : supported) {
    list += (list.empty() ? "" : ", ") + go_quoted(one);
  }
  return {"FieldValueNotSupported",
          fmt::format("Unsupported value: {}: supported values: {}", go_quoted(value), list),
          std::move(field)};
}

}  // namespace llmd::apiserver
