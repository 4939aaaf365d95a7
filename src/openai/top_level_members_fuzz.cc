// A JSON object without some of its members is still a JSON object, without them.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "json/value.h"
#include "openai/top_level_members.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llmd;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  constexpr std::array<std::string_view, 3> kNames{"owned_by", "engine", "a"};
  const auto members = openai::find_top_level_members(text, kNames);
  auto parsed = json::parse_object(text);
  if (!parsed) {
    return 0;
  }
  if (!members) {
    std::abort();
  }
  for (const std::string_view name : kNames) {
    parsed->erase(name);
  }
  const auto rest = json::parse_object(openai::with_members_changed(text, *members, nullptr, {}));
  // Escaped names and very long ones are beyond what is looked for.
  if (!rest || (text.find('\\') == std::string_view::npos && rest->size() != parsed->size())) {
    std::abort();
  }
  return 0;
}
