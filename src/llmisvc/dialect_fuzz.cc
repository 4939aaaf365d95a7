// Every dialect is translated or refused, and a conversion to the other version and back loses nothing.
#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "json/yaml.h"
#include "llmisvc/convert_version.h"
#include "llmisvc/dialect.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto documents = llmd::json::parse_yaml({reinterpret_cast<const char*>(data), size}, "service.yaml");
  if (!documents) {
    return 0;
  }
  for (const auto& document : *documents) {
    if (!document.value.is_object()) {
      continue;
    }
    llmd::llmisvc::Findings findings;
    const auto service = llmd::llmisvc::to_kserve(document.value.get_object(), findings);
    llmd::llmisvc::use_server_paths(findings);
    const auto canonical = llmd::llmisvc::to_version(service, "v1alpha1");
    const auto there = llmd::llmisvc::to_version(canonical, "v1alpha2");
    const auto back = llmd::llmisvc::to_version(there, "v1alpha1");
    const auto again = llmd::llmisvc::to_version(back, "v1alpha2");
    LLMD_ASSERT(there == again, "the second round changes nothing");
  }
  return 0;
}
