// Any text either fails to parse, fails to execute, or gives a text of bounded length.
#include <cstddef>
#include <cstdint>

#include "text/go_template.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const llmd::json::Value values = *llmd::json::parse(
      R"({"name":"n","namespace":"ns","list":[1,"b",{"c":null}],"spec":{"model":{"uri":"hf://x","name":"m"}}})");
  const auto parsed = llmd::text::GoTemplate::parse({reinterpret_cast<const char*>(data), size});
  if (parsed) {
    (void)parsed->execute(values, {}, {.max_steps = 10'000, .max_output = 1U << 16U});
  }
  return 0;
}
