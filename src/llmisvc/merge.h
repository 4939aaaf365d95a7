// Strategic merge of specs, by presence: what the override says counts, also when it says false, 0, "" or {}.
//
// Numbered rules (the vectors are in merge_test.cc):
//  1. Objects merge member by member; a scalar or list replaces.
//  2. null removes what the base has.
//  3. {"$patch": "delete"} in place of a member, or with the key in a keyed list, removes it; {"$patch":
//  "replace", ...}
//     replaces the object without merging.
//  4. Keyed lists (containers and env by name, ports by containerPort, mounts by mountPath, ...) merge
//  element by
//     element. The base's order stays; new elements follow in their own order.
//  5. Members that exclude each other (value and valueFrom, the sources of a volume, the handlers of a
//  probe): the
//     override's kind wins, the base's other kinds go.
#pragma once

#include <string_view>

#include "json/value.h"

namespace llmd::llmisvc {

json::Object merge(const json::Object& base, const json::Object& override_with);

// The member that identifies an element of the list called `field`; empty for lists that are replaced.
std::string_view merge_key(std::string_view field);

}  // namespace llmd::llmisvc
