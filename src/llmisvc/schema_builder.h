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

json::Value record(std::string_view description, std::vector<Field> fields,
                   std::vector<std::string_view> required = {});
// A record of a spec: also takes `$patch`, with which a layer removes or replaces what the layers below it
// say.
// Members that are not required may be null, which removes likewise, unless they have choices or a rule asks
// about them.
json::Value object(std::string_view description, std::vector<Field> fields,
                   std::vector<std::string_view> required = {});
json::Value map_of(std::string_view description, json::Value values);
// `keys`: the members that identify an element, separated by spaces; empty: the list is replaced as a whole.
json::Value list_of(std::string_view description, json::Value items, std::string_view keys = {});
json::Value string(std::string_view description, std::string_view pattern = {});
json::Value name(std::string_view description, int longest);
json::Value choice(std::string_view description, std::initializer_list<std::string_view> values);
json::Value integer(std::string_view description, long long minimum, long long maximum = 2147483647);
json::Value number(std::string_view description);
json::Value boolean(std::string_view description);
json::Value int_or_string(std::string_view description);
// Anything goes: fields that are passed through.
json::Value any(std::string_view description = {});
json::Value any_object(std::string_view description = {});
// What a type cannot say, in CEL; for API servers (check.cc says it for us, with a place and a fix).
struct Rule {
  std::string_view cel;
  std::string_view message;
};
json::Value with_rules(json::Value schema, std::vector<Rule> rules);
json::Value with_default(json::Value schema, json::Value value);
// Several `any` fields at once, by their names separated by spaces.
std::vector<Field> any_fields(std::string_view names);
std::vector<Field> join(std::vector<Field> a, std::vector<Field> b);

json::Value pod_spec(std::string_view description);

}  // namespace llmd::llmisvc::schema
