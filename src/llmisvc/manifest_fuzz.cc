// Any text is either refused with findings or compiled; the text of a finding is always printable.
#include <cstddef>
#include <cstdint>

#include "llmisvc/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  for (const auto& finding :
       llmd::llmisvc::check_manifest({reinterpret_cast<const char*>(data), size}, "input.yaml")) {
    (void)llmd::llmisvc::render_finding(finding);
  }
  return 0;
}
