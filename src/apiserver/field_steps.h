// How a value is taken apart into the steps of a FieldSet, as its schema says. Private to the field sets.
#pragma once

#include <boost/json/value.hpp>

#include <string>
#include <string_view>

#include "kube/schema.h"

namespace llmd::apiserver {

// Without a schema objects merge member by member and lists are replaced, as for schemaless fields of custom
// resources.
enum class Structure { Leaf, Members, Keyed, Set };
Structure structure_of(const boost::json::value& value, const kube::Type* type);

// The type of one member of an object of this type; null: there is no schema for it.
const kube::Type* member_type(const kube::Type* type, std::string_view name);

std::string field_step(std::string_view name);
std::string item_step(const kube::Type& list, const boost::json::value& item);
// The step as a path shows it: ".spec", "[name=\"main\"]", "[=\"member\"]".
std::string readable(std::string_view step);

}  // namespace llmd::apiserver
