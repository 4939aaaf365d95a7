// Small words for writing schemas: object({{"name", string("...")}}). Used by the files that hold schemas.
#pragma once

#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include "json/value.h"

namespace llmd::llmisvc::schema {

struct Field {
  std::string_view name;
  json::Value schema;
};

json::Value object(std::string_view description, std::vector<Field> fields,
                   std::vector<std::string_view> required = {});
json::Value map_of(std::string_view description, json::Value values);
json::Value list_of(std::string_view description, json::Value items, std::string_view key = {});
json::Value string(std::string_view description, std::string_view pattern = {});
json::Value choice(std::string_view description, std::initializer_list<std::string_view> values);
json::Value integer(std::string_view description, long long minimum, long long maximum = 2147483647);
json::Value number(std::string_view description);
json::Value boolean(std::string_view description);
json::Value int_or_string(std::string_view description);
// Anything goes: fields that are passed through.
json::Value any(std::string_view description = {});
json::Value any_object(std::string_view description = {});
// Several `any` fields at once, by their names separated by spaces.
std::vector<Field> any_fields(std::string_view names);
std::vector<Field> join(std::vector<Field> a, std::vector<Field> b);

json::Value pod_spec(std::string_view description);

}  // namespace llmd::llmisvc::schema
