// Any YAML is converted or listed; what comes out compiles or is refused with findings.
#include <cstddef>
#include <cstdint>

#include "llmisvc/compile.h"
#include "llmisvc/convert_values.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto documents = llmd::json::parse_yaml({reinterpret_cast<const char*>(data), size}, "values.yaml");
  if (!documents) {
    return 0;
  }
  for (const auto& document : *documents) {
    if (!document.value.is_object()) {
      continue;
    }
    const auto converted = llmd::llmisvc::convert_values(document);
    for (const auto& finding : converted.findings) {
      (void)llmd::llmisvc::render_finding(finding);
    }
    for (const auto& object : converted.objects) {
      (void)llmd::llmisvc::compile(object, {});
    }
  }
  return 0;
}
