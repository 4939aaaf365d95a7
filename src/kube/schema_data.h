// The texts schema.cc reads. One type per block:
//
//   struct Name # description
//   field[!] TYPE [key=a,b] [merge=a] [set] [atomic] [retain] [default=JSON] [# description]
//
// `!` = required. TYPE is any, string, int, bool, number, quantity, intstr, time, a type's name, []TYPE or
// {}TYPE (map).
#pragma once

#include <array>
#include <string_view>

namespace llmd::kube {

extern const std::string_view kSchemaMeta;
extern const std::string_view kSchemaPod;
extern const std::string_view kSchemaVolumes;
extern const std::string_view kSchemaCore;
extern const std::string_view kSchemaApps;
extern const std::string_view kSchemaGateway;
extern const std::string_view kSchemaServing;

}  // namespace llmd::kube
