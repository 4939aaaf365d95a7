// Input: target, a zero byte, patch. Patches never crash, and a failed one says why.
#include <cstdint>

#include "base/assert.h"
#include "json/patch.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llmd;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t cut = text.find('\0');
  if (cut == std::string_view::npos) {
    return 0;
  }
  const auto target = json::parse(text.substr(0, cut));
  const auto patch = json::parse(text.substr(cut + 1));
  if (!target || !patch) {
    return 0;
  }
  const auto patched = json::apply_json_patch(*target, *patch);
  LLMD_ASSERT(patched || !patched.error().message.empty(), "an error has a message");
  json::Value merged = *target;
  json::apply_merge_patch(merged, *patch);
  LLMD_ASSERT(json::parse(json::write(merged), {.max_depth = 200}).has_value(), "the result is JSON");
  return 0;
}
