// What is read as a context is written as a header that means the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "trace/context.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto context = llmd::trace::parse_traceparent({reinterpret_cast<const char*>(data), size});
  if (context && llmd::trace::parse_traceparent(llmd::trace::format_traceparent(*context)) != context) {
    std::abort();
  }
  return 0;
}
