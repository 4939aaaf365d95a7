// Two JSON texts, one per line: a pod and a strategic merge patch. The result never contains a directive on
// its top level.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "json/value.h"
#include "kube/strategic_merge.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t line = text.find('\n');
  if (line == std::string_view::npos) {
    return 0;
  }
  const auto target = llmd::json::parse(text.substr(0, line));
  const auto patch = llmd::json::parse(text.substr(line + 1));
  if (!target || !patch) {
    return 0;
  }
  const auto merged = llmd::kube::strategic_merge(*target, *patch, llmd::kube::schema_of_kind("Pod"));
  if (merged && merged->is_object() && target->is_object() && !target->get_object().contains("$patch") &&
      merged->get_object().contains("$patch")) {
    std::abort();
  }
  return 0;
}
