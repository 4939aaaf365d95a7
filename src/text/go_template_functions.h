// The built-in functions of Go templates, on JSON values. `and`, `or` are in the evaluator: they stop early.
#pragma once

#include <span>
#include <string_view>

#include "text/go_template.h"

namespace llmd::text::go {

using Arguments = std::span<const json::Value>;

// Null when there is no such function.
using Builtin = Result<json::Value> (*)(Arguments);
Builtin find_builtin(std::string_view name);
std::span<const std::string_view> builtin_names();

// Go's idea of truth: not null, false, 0, "" or an empty list or map.
bool is_true(const json::Value& value);
// As Go prints it; lists and maps as [a b] and map[k:v].
void print_to(std::string& out, const json::Value& value);

}  // namespace llmd::text::go
