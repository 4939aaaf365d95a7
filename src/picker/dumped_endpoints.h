// Lists of endpoints in /debug/plugins/state, in the form that llm-d's picker gives them. Private to picker.
#pragma once

#include "json/value.h"

namespace llmd::picker {

inline constexpr std::size_t kMostDumped = 100;  // a list stays readable, however large the pool is

// {endpoints, totalEndpoints, maxEndpoints, truncated}; the first ones of `endpoints`.
json::Object dumped_endpoints(json::Array endpoints);

}  // namespace llmd::picker
