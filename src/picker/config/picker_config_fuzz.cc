// Any text is refused with an error or becomes a plan.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "picker/config.h"
#include "picker/plan.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llmd::picker;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.find("precise") != std::string_view::npos ||
      text.find("cache_tracking") != std::string_view::npos) {
    return 0;  // opens sockets
  }
  auto configuration = parse_configuration(text, "fuzz");
  if (configuration) {
    const auto plan = build_plan(std::move(*configuration), {.load = {.allow_experimental = true}});
    static_cast<void>(plan);
  }
  check_configuration(text, "fuzz");
  return 0;
}
