// A refused request as clients of Kubernetes expect it: HTTP code, reason, message and details of a v1
// Status. kubectl shows these texts to people, so they are spelled as the real server spells them.
#pragma once

#include <boost/json/object.hpp>

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/result.h"
#include "kube/resource.h"

namespace llmd::apiserver {

// One wrong field. kubectl prints "* field: message" from these.
struct Cause {
  std::string reason;  // FieldValueInvalid, FieldValueRequired, ...
  std::string message;
  std::string field;
};

struct Failure {
  int code = 500;
  std::string reason;
  std::string message;
  boost::json::object details;

  // {"kind": "Status", "status": "Failure", ...}
  boost::json::object status() const;
};

template <typename T = void>
using Answer = std::expected<T, Failure>;

std::string go_quoted(std::string_view text);  // as Go's %q: "text"

Failure bad_request(std::string message);
Failure unauthorized();
Failure object_not_found(const kube::Resource& resource, std::string_view name);
Failure path_not_found();
Failure object_exists(const kube::Resource& resource, std::string_view name);
// "Operation cannot be fulfilled on ...: <why>"; the default is the stale resourceVersion.
Failure conflict_on(const kube::Resource& resource, std::string_view name, std::string_view why = {});
Failure forbidden(const kube::Resource& resource, std::string_view name, std::string_view why);
Failure invalid_object(const kube::Resource& resource, std::string_view name,
                       const std::vector<Cause>& causes);
// 'CreateOptions.meta.k8s.io "" is invalid: ...'
Failure invalid_option(std::string_view options_kind, const Cause& cause);
Failure method_not_allowed();
Failure unsupported_media_type(std::string_view accepted);
Failure not_acceptable();
Failure expired(std::string message);
Failure internal_failure(const Error& error);
Failure not_implemented(std::string message);

// "FieldValueInvalid" with the message 'Invalid value: <shown>: <detail>'.
Cause invalid_value(std::string field, std::string shown, std::string_view detail);
Cause required_value(std::string field, std::string_view detail = {});
Cause forbidden_value(std::string field, std::string_view detail);
Cause unsupported_value(std::string field, std::string_view value,
                        const std::vector<std::string_view>& supported);

}  // namespace llmd::apiserver
