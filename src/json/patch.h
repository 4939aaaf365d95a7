// Patches of JSON values: JSON pointer (RFC 6901), JSON patch (RFC 6902), JSON merge patch (RFC 7386).
// All functions are pure; the target of a failed patch is left as it was.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/value.h"

namespace llmd::json {

// The tokens of a pointer, unescaped: "/a~1b/0" -> {"a/b", "0"}; "" is the root and has none.
Result<std::vector<std::string>> parse_pointer(std::string_view pointer);
std::string escape_pointer_token(std::string_view token);

// NotFound names the first token that leads nowhere.
Result<const Value*> at_pointer(const Value& root, std::string_view pointer);

// Objects are merged, null removes, everything else replaces.
void apply_merge_patch(Value& target, const Value& patch);
// The patch that turns `before` into `after`: apply_merge_patch(before, result) == after, if `after` has no
// nulls.
Value make_merge_patch(const Value& before, const Value& after);

struct PatchLimits {
  std::size_t max_operations = 10'000;  // Kubernetes' limit
  std::size_t max_copied_values = 100'000;
};

// All operations or none. A wrong patch is InvalidArgument ("[2].path: ..."), a path that does not exist
// NotFound, a failed `test` FailedPrecondition.
Result<Value> apply_json_patch(const Value& target, const Value& patch, const PatchLimits& limits = {});

}  // namespace llmd::json
