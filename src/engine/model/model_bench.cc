// Speed of the real model (LLMD_SMOLLM2=path/to.gguf, or any other model): tokens per second as "items".
//
//   engine_model_bench --benchmark_filter=Decode       one token for each of N sequences, 64 tokens of
//   context engine_model_bench --benchmark_filter=Prefill      one prompt of N tokens engine_model_bench
//   --benchmark_filter=Load         file in page cache to ready

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include "engine/model/model.h"

namespace llmd::engine {
namespace {

constexpr int kBlockSize = 16;
constexpr int kContext = 64;

std::unique_ptr<Model> load(benchmark::State& state) {
  const char* const path = std::getenv("LLMD_SMOLLM2");
  if (path == nullptr) {
    state.SkipWithError("set LLMD_SMOLLM2 to the model file");
    return nullptr;
  }
  const char* const threads = std::getenv("LLMD_THREADS");
  auto model = load_model(path, {.threads = threads == nullptr ? 0 : std::atoi(threads)});
  if (!model) {
    state.SkipWithError(model.error().text().c_str());
    return nullptr;
  }
  return *std::move(model);
}

std::vector<int> count_up(int first, int count) {
  std::vector<int> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), first);
  return numbers;
}

void Decode(benchmark::State& state) {
  const auto model = load(state);
  if (model == nullptr) {
    return;
  }
  const auto sequences = static_cast<int>(state.range(0));
  constexpr int kRoom = 8;  // blocks per sequence
  const auto cache = model->make_kv_cache(sequences * kRoom, kBlockSize);
  std::vector<std::vector<int>> tables;
  std::vector<SequenceChunk> batch;
  const auto prompt = count_up(100, kContext);
  const Token token = 1000;
  std::vector<float> logits(static_cast<std::size_t>(model->config().vocab_size * sequences));
  for (int i = 0; i < sequences; ++i) {
    tables.push_back(count_up(i * kRoom, kRoom));
    const SequenceChunk chunk{.tokens = prompt, .position = 0, .block_table = tables.back()};
    model->forward({&chunk, 1}, *cache, {});
  }
  for (int i = 0; i < sequences; ++i) {
    batch.push_back({.tokens = {&token, 1},
                     .position = kContext,
                     .block_table = tables[static_cast<std::size_t>(i)],
                     .logit_rows = 1});
  }
  for (auto _ : state) {
    model->forward(batch, *cache, logits);
  }
  state.SetItemsProcessed(state.iterations() * sequences);
}
BENCHMARK(Decode)->Arg(1)->Arg(2)->Arg(4)->Arg(8)->Arg(32)->UseRealTime()->Unit(benchmark::kMillisecond);

void Prefill(benchmark::State& state) {
  const auto model = load(state);
  if (model == nullptr) {
    return;
  }
  const auto length = static_cast<int>(state.range(0));
  const int blocks = (length + kBlockSize - 1) / kBlockSize;
  const auto cache = model->make_kv_cache(blocks, kBlockSize);
  const auto table = count_up(0, blocks);
  const auto prompt = count_up(100, length);
  std::vector<float> logits(static_cast<std::size_t>(model->config().vocab_size));
  const SequenceChunk chunk{.tokens = prompt, .position = 0, .block_table = table, .logit_rows = 1};
  for (auto _ : state) {
    model->forward({&chunk, 1}, *cache, logits);
  }
  state.SetItemsProcessed(state.iterations() * length);
}
BENCHMARK(Prefill)->Arg(512)->Arg(4096)->UseRealTime()->Unit(benchmark::kMillisecond);

void Load(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(load(state));
  }
}
BENCHMARK(Load)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace llmd::engine
