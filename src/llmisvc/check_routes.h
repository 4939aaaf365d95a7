// Two routes for one path: only one of them gets the requests. Private to the check of files.
#pragma once

#include <map>
#include <string>

#include "json/value.h"
#include "llmisvc/finding.h"

namespace llmd::llmisvc {

class RouteTable {
 public:
  // Adds an HTTPRoute; findings name the place in its document by `path` (of the rules; empty: rule by rule).
  Findings add(const json::Object& route, const std::string& path);

 private:
  struct Owner {
    std::string route;
    json::Value backends;
  };
  std::map<std::string, Owner> taken_;  // by gateway, host and match
};

// Backends that cannot answer: the picker's own Service.
Findings check_backends(const json::Object& route);

}  // namespace llmd::llmisvc
