// LLMD_ASSERT stops the process on our own bugs, in every build. What the outside world can cause is an Error
// instead.
#pragma once

#include <source_location>
#include <string_view>

namespace llmd {

[[noreturn]] void assertion_failed(std::string_view condition, std::string_view reason,
                                   std::source_location where = std::source_location::current());

}  // namespace llmd

#define LLMD_ASSERT(condition, reason)                                      \
  (__builtin_expect(static_cast<bool>(condition), 1) ? static_cast<void>(0) \
                                                     : ::llmd::assertion_failed(#condition, reason))
