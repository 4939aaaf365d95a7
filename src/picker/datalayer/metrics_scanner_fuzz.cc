// Any page is scanned without harm, with the same result however it is split.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "picker/datalayer/metrics_scanner.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llmd::picker;
  const std::string_view page(reinterpret_cast<const char*>(data), size);
  for (const EngineMapping& mapping : builtin_engines()) {
    const MetricsScanner scanner(mapping);
    const EngineReport once = scanner.scan(page);
    MetricsScanner::Pass pass(scanner);
    const std::size_t step = page.empty() ? 1 : 1 + static_cast<unsigned char>(page.back()) % 7;
    for (std::size_t at = 0; at < page.size(); at += step) {
      pass.feed(page.substr(at, step));
    }
    const EngineReport again = pass.finish();
    const bool same = once.waiting == again.waiting || (once.waiting != once.waiting);
    if (!same) {
      std::abort();
    }
  }
  if (const auto spec = MetricSpec::parse(page.substr(0, 200)); spec && spec->name.size() > 200) {
    std::abort();
  }
  return 0;
}
