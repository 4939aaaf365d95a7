// What a YAML scalar means: the one table that reader and writer share. Private to src/json.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "json/value.h"

namespace llmd::json {

// A scalar without quotes and without a tag: null, boolean, integer, float or else the string itself.
// InvalidArgument for infinities and NaN, which JSON cannot say.
Result<Value> resolve_plain_scalar(std::string_view text);
// A scalar with a tag of the core schema (tag:yaml.org,2002:int, ...).
Result<Value> resolve_tagged_scalar(std::string_view text, std::string_view tag);

// Whether the string may stand without quotes and still be the same string for every YAML 1.1 and 1.2 reader:
// not a boolean, number, null, date, sexagesimal number or merge key.
bool reads_as_itself(std::string_view text);

}  // namespace llmd::json
