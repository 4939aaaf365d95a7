// Any text: never crashes, and every rewrite that is accepted has a target for every model.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "extproc/rules.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto objects =
      llmd::extproc::parse_rule_objects({reinterpret_cast<const char*>(data), size}, "objects.yaml");
  if (objects) {
    const auto rules = llmd::extproc::rules_of(*objects, "pool");
    const auto match = rules->rewrites.find("model", 0.5);
    if (match && match->target.empty()) {
      std::abort();
    }
  }
  return 0;
}
