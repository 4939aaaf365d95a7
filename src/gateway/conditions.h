// Conditions as Gateway API writes them. Private to gateway.
#pragma once

#include <boost/json/array.hpp>

#include <string>
#include <string_view>
#include <vector>

#include "kube/object.h"

namespace llmd::gateway {

struct Condition {
  std::string_view type;
  bool holds = true;
  std::string_view reason;  // a literal
  std::string message;
};

// The list after `before` (may be null): conditions of other types stay, and the time of a condition changes
// only with its status.
boost::json::array conditions_after(const boost::json::array* before,
                                    const std::vector<Condition>& conditions, std::int64_t generation,
                                    std::string_view now);

}  // namespace llmd::gateway
