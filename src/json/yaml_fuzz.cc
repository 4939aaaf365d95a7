// Any text is read or refused; what was read can be written and read again.
#include <cstdint>

#include "base/assert.h"
#include "json/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llmd;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto documents = json::parse_yaml(text, "fuzz", {.max_nodes = 10'000});
  if (!documents) {
    return 0;
  }
  for (const auto& document : *documents) {
    const auto again = json::parse_yaml(json::write_yaml(document.value), "again");
    LLMD_ASSERT(again.has_value(), "what was written can be read");
    LLMD_ASSERT(again->size() == 1 && again->front().value == document.value, "and is the same");
  }
  return 0;
}
