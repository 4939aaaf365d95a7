// Budget: the largest example compiles (merge, expand, check, render) in less than 20 ms.
#include <benchmark/benchmark.h>

#include "base/file.h"
#include "llmisvc/compile.h"

namespace llmd::llmisvc {
namespace {

void BM_CompilePrefillDecode(benchmark::State& state) {
  const auto text = read_file(std::string(LLMD_SOURCE_DIR) + "/src/llmisvc/testdata/inputs/000-08.yaml");
  const auto manifest = parse_manifest(*text, "000-08.yaml");
  const json::Object& service = manifest->services.front().value.get_object();
  for (auto _ : state) {
    benchmark::DoNotOptimize(compile(service, {}));
  }
}
BENCHMARK(BM_CompilePrefillDecode)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace llmd::llmisvc
