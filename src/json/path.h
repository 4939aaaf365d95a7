// Paths into a JSON value as error messages write them: spec.containers[0].image,
// metadata.labels[app.kubernetes.io/name]. A member stands after a dot; an array index, or a key that a dot
// would make unreadable, stands in brackets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "json/value.h"

namespace llmd::json {

std::string path_member(std::string_view path, std::string_view key);
std::string path_index(std::string_view path, std::size_t index);
// The path without its last step; empty for a path of one step.
std::string_view path_parent(std::string_view path);

// The value at the path, or null when a step is missing or goes through a scalar. The empty path is the root.
const Value* find(const Value& root, std::string_view path);
Value* find(Value& root, std::string_view path);

// Typed reading that never throws: nullopt (nullptr) when absent, null or of another type. int_at accepts
// every JSON number without a fraction that fits; double_at accepts every number. The view lives as long as
// the value.
std::optional<std::string_view> string_at(const Value& root, std::string_view path);
std::optional<std::int64_t> int_at(const Value& root, std::string_view path);
std::optional<double> double_at(const Value& root, std::string_view path);
std::optional<bool> bool_at(const Value& root, std::string_view path);
const Object* object_at(const Value& root, std::string_view path);
const Array* array_at(const Value& root, std::string_view path);

// Sets the value at the path; missing objects on the way are made, scalars in the way are replaced by
// objects. An index may name an existing element or the one past the end. InvalidArgument for any other
// index.
Result<void> set_at(Value& root, std::string_view path, Value value);

// The integer a number stands for, if it has no fraction and fits into 64 signed bits.
std::optional<std::int64_t> as_integer(const Value& value);

}  // namespace llmd::json
