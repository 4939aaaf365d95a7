// Selectors of any text: parsed or refused, and what was parsed can be asked.
#include <cstddef>
#include <cstdint>

#include "kube/selector.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const llmd::kube::Object object{{"metadata", {{"name", "x"}, {"labels", {{"app", "web"}}}}}};
  if (const auto labels = llmd::kube::LabelSelector::parse(text)) {
    static_cast<void>(labels->matches(object));
  }
  if (const auto fields = llmd::kube::FieldSelector::parse(text)) {
    static_cast<void>(fields->matches(object));
  }
  return 0;
}
