// Budget: a page of 100 KB is written in less than 1 ms, a counter costs less than 20 ns.
#include <benchmark/benchmark.h>

#include "metrics/registry.h"
#include "metrics/text_reader.h"

namespace llmd::metrics {
namespace {

void fill(Registry& registry) {
  for (int i = 0; i < 50; ++i) {
    auto& family = registry.histograms(fmt::format("vllm:histogram_{}_seconds", i), "Some seconds.",
                                       {"engine", "model_name"});
    for (const char* engine : {"0", "1"}) {
      family.with({engine, "smollm2-135m-instruct"})->observe(0.1234567 * i);
    }
  }
}

void write_page(benchmark::State& state) {
  Registry registry;
  fill(registry);
  for (auto _ : state) {
    benchmark::DoNotOptimize(registry.write_text());
  }
  state.counters["bytes"] = static_cast<double>(registry.write_text().size());
}
BENCHMARK(write_page);

void read_page(benchmark::State& state) {
  Registry registry;
  fill(registry);
  const std::string page = registry.write_text();
  for (auto _ : state) {
    TextReader reader(page);
    while (const auto sample = reader.next()) {
      if (!*sample) {
        break;
      }
      benchmark::DoNotOptimize((*sample)->value);
    }
  }
}
BENCHMARK(read_page);

void count(benchmark::State& state) {
  Counter counter;
  for (auto _ : state) {
    counter.add();
  }
}
BENCHMARK(count);

}  // namespace
}  // namespace llmd::metrics
