// Reading lists of API objects. What has the wrong type is skipped: the API server has checked the objects,
// and files with mistakes are found by `llmd check`. Private to gateway.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gateway/route_table.h"
#include "kube/object.h"

namespace llmd::gateway {

std::vector<const kube::Object*> objects_in(const kube::Object& parent, std::string_view path);
std::vector<std::string> strings_in(const kube::Object& parent, std::string_view path);
// [{name, value}]
std::vector<NameValue> pairs_in(const kube::Object& parent, std::string_view path);
// The string at `path`, or `fallback` when it is absent or empty.
std::string_view string_or(const kube::Object& object, std::string_view path, std::string_view fallback);

}  // namespace llmd::gateway
