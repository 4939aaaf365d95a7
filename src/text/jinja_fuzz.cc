// Any bytes are a template: parsing and rendering end with a text or an error, within the limits.
#include <boost/json.hpp>
#include <cstdint>
#include <string_view>

#include "text/jinja.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const auto compiled =
      llmd::text::JinjaTemplate::parse(source, {.max_output_bytes = 1 << 16, .max_steps = 20'000});
  if (!compiled)
    return 0;
  static const auto context = boost::json::parse(R"({
    "messages": [{"role": "system", "content": "a b"}, {"role": "user", "content": ["x", 1, 2.5, null, true]}],
    "tools": [{"name": "f", "parameters": {"type": "object"}}], "add_generation_prompt": true, "n": 3})");
  (void)compiled->render(context.get_object());
  return 0;
}
