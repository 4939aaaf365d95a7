// Budget: the largest example becomes YAML (parse, merge, expand, check, render, write) in less than 20 ms.
#include <benchmark/benchmark.h>

#include "base/file.h"
#include "llmisvc/compile.h"
#include "llmisvc/plan.h"

namespace llmd::llmisvc {
namespace {

void render_input(benchmark::State& state, const std::string& name) {
  const auto text = read_file(std::string(LLMD_SOURCE_DIR) + "/src/llmisvc/testdata/inputs/" + name);
  std::size_t objects = 0;
  std::size_t bytes = 0;
  for (auto _ : state) {
    const auto manifest = parse_manifest(*text, name);
    const Facts facts = with_configs({}, *manifest);
    objects = 0;
    bytes = 0;
    for (const json::YamlDocument& service : manifest->services) {
      const Compiled compiled = compile(service.value.get_object(), facts);
      objects += compiled.objects.size();
      bytes += objects_as_yaml(compiled.objects).size();
    }
  }
  state.counters["objects"] = static_cast<double>(objects);
  state.counters["bytes"] = static_cast<double>(bytes);
}

// One pod per replica; two halves with scheduler and routes; groups of pods with scheduler and routes.
BENCHMARK_CAPTURE(render_input, single_node, std::string("000-01.yaml"))->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(render_input, prefill_decode, std::string("001-09.yaml"))->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(render_input, groups, std::string("v-multi-node-dp.yaml"))->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace llmd::llmisvc
