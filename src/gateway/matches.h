// The matches of one rule of an HTTPRoute. Private to gateway.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gateway/route_table.h"
#include "kube/object.h"

namespace llmd::gateway {

struct ParsedMatches {
  std::vector<Match> matches;  // without their rule
  std::string problem;         // of those that were left out; empty: none were
};

// Without `matches` a rule takes every path. A match that cannot be evaluated matches nothing: serving it
// wider than it was written would be worse.
ParsedMatches parse_matches(const kube::Object& rule);
// Of a GRPCRoute's rule: a method is the path /SERVICE/METHOD.
ParsedMatches parse_grpc_matches(const kube::Object& rule);

}  // namespace llmd::gateway
