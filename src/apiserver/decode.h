// From the bytes of a request to an object of the right kind: media type, apiVersion and kind, types of all
// fields, unknown fields.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apiserver/request.h"

namespace llmd::apiserver {

inline constexpr std::string_view kObjectTypes = "application/json, application/yaml";

// JSON, YAML, or JSON where no type is given.
Answer<boost::json::value> read_body(const Request& request);

// A body that must be an object of the request's kind. Built-in kinds lose unknown fields here;
// fieldValidation decides whether that is silent, a warning or an error.
Answer<kube::Object> decode_object(Request& request, boost::json::value body);

// Fields that the kind requires and the object lacks.
std::vector<Cause> missing_fields(const Kind& kind, const kube::Object& object);

// The schema part alone, for objects that come out of a patch.
Answer<> check_fields(Request& request, kube::Object& object);

}  // namespace llmd::apiserver
