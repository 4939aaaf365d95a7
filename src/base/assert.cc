#include "base/assert.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

namespace llmd {

void assertion_failed(std::string_view condition, std::string_view reason, std::source_location where) {
  fmt::print(stderr, "{}:{}: bug: {} does not hold: {}\n", where.file_name(), where.line(), condition,
             reason);
  std::abort();
}

}  // namespace llmd
