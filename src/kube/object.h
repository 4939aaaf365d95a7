// API objects as JSON with accessors: no field is ever lost, known or not. Typed views (LLMInferenceService,
// ...) are decoded from these where a program needs to understand them.
#pragma once

#include <boost/json/object.hpp>

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace llmd::kube {

using Object = boost::json::object;

struct ObjectKey {
  std::string name_space;
  std::string name;
  std::string to_string() const;  // "namespace/name", or "name" when cluster-scoped
  auto operator<=>(const ObjectKey&) const = default;
};

ObjectKey key_of(const Object& object);
std::string_view name_of(const Object& object);
std::string_view namespace_of(const Object& object);
std::string_view uid_of(const Object& object);
std::string_view kind_of(const Object& object);
std::string_view api_version_of(const Object& object);
std::string_view resource_version_of(const Object& object);
std::int64_t generation_of(const Object& object);
bool is_being_deleted(const Object& object);
std::string_view label_of(const Object& object, std::string_view key);  // "" when absent
std::string_view annotation_of(const Object& object, std::string_view key);

// Values below a dotted path ("spec.replicas"); null when any step is missing. Path segments never contain
// dots here.
const boost::json::value* find(const Object& object, std::string_view path);
const Object* find_object(const Object& object, std::string_view path);
const boost::json::array* find_array(const Object& object, std::string_view path);
std::string_view find_string(const Object& object, std::string_view path);  // "" when absent or not a string
std::int64_t find_int(const Object& object, std::string_view path, std::int64_t fallback);
bool find_bool(const Object& object, std::string_view path, bool fallback);
// Creates missing objects on the way.
boost::json::value& at(Object& object, std::string_view path);

// {"apiVersion","kind","name","uid","controller":true,"blockOwnerDeletion":true} pointing at `owner`.
Object controller_reference(const Object& owner);
// The ownerReference with controller: true; null when none.
const Object* controller_of(const Object& object);

// matchLabels and matchExpressions (In, NotIn, Exists, DoesNotExist) against an object's labels.
bool selector_matches(const Object& label_selector, const Object& object);

// One condition of status.conditions (type, status, reason, message, lastTransitionTime), keeping
// lastTransitionTime when the status did not change.
const Object* find_condition(const Object& object, std::string_view type);
void set_condition(Object& object, std::string_view type, std::string_view status, std::string_view reason,
                   std::string_view message, std::string_view now_rfc3339);

}  // namespace llmd::kube
