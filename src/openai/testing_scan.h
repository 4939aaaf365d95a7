// For tests: a request that has been read.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "openai/request_scan.h"

namespace llmd::openai {

// In pieces of `step` bytes.
inline RequestScan scanned(std::string_view body, std::size_t step = SIZE_MAX) {
  RequestScan scan;
  for (; !body.empty(); body.remove_prefix(std::min(step, body.size()))) {
    scan.feed(body.substr(0, step));
  }
  scan.finish();
  return scan;
}

}  // namespace llmd::openai
