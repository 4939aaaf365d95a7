// A regular expression of a route (RE2 syntax), which must match a whole path or value. Immutable; any
// thread. Time is linear in the text, whatever the expression.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace llmd::gateway {

class Pattern {
 public:
  static Result<std::shared_ptr<const Pattern>> compile(std::string_view expression);
  virtual ~Pattern() = default;
  virtual bool matches(std::string_view text) const = 0;
};

}  // namespace llmd::gateway
