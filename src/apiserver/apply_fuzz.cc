// Two JSON texts, one per line: a live Deployment and what a manager applies. Applying the same again changes
// nothing.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "apiserver/managed_fields.h"
#include "json/value.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llmd;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t line = text.find('\n');
  if (line == std::string_view::npos) {
    return 0;
  }
  const auto live = json::parse_object(text.substr(0, line));
  const auto applied = json::parse_object(text.substr(line + 1));
  if (!live || !applied) {
    return 0;
  }
  const apiserver::Kind& kind = apiserver::kind_of(kube::kDeployments);
  const apiserver::Writer writer{"fuzz", "", "2026-01-01T00:00:00Z"};
  const auto first = apiserver::apply_patch(kind, &*live, *applied, writer, true);
  if (!first) {
    return 0;
  }
  const auto second = apiserver::apply_patch(kind, &*first, *applied, writer, true);
  if (!second || apiserver::ownable(*second) != apiserver::ownable(*first)) {
    std::abort();
  }
  return 0;
}
