// Budget: 100 KB of text in less than 30 ms, 150 000 vocabulary entries loaded in less than 300 ms.
// LLMD_TOKENIZER names a .gguf file or model folder; by default the vocabularies of the conformance test's
// cache.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tokenizer/tokenizer.h"

namespace llmd::tokenizer {
namespace {

std::filesystem::path model_path() {
  if (const char* path = std::getenv("LLMD_TOKENIZER"))
    return path;
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const auto root = cache != nullptr ? std::filesystem::path(cache)
                                     : std::filesystem::path(home != nullptr ? home : ".") / ".cache";
  return root / "llmd/conformance/llama.cpp-models-0.3.36/ggml-vocab-qwen2.gguf";
}

// Prose and code: the project's own sources and documents.
std::string sample(std::size_t bytes) {
  std::string text;
  for (const auto* name :
       {"/docs/architecture.md", "/CONTRIBUTING.md", "/src/tokenizer/bpe.cc", "/src/base/error.h"}) {
    std::ifstream file(std::string(LLMD_SOURCE_DIR) + name);
    text.append(std::istreambuf_iterator<char>(file), {});
  }
  while (text.size() < bytes)
    text += text.empty() ? "The quick brown fox. " : text;
  text.resize(bytes);
  return text;
}

void load(benchmark::State& state) {
  for (auto _ : state) {
    auto tokenizer = load_tokenizer(model_path());
    if (!tokenizer) {
      state.SkipWithError(tokenizer.error().text().c_str());
      return;
    }
    benchmark::DoNotOptimize(tokenizer);
  }
}
BENCHMARK(load)->Unit(benchmark::kMillisecond);

void encode(benchmark::State& state) {
  const auto tokenizer = load_tokenizer(model_path());
  if (!tokenizer) {
    state.SkipWithError(tokenizer.error().text().c_str());
    return;
  }
  const auto text = sample(static_cast<std::size_t>(state.range(0)));
  std::size_t tokens = 0;
  for (auto _ : state) {
    const auto ids = (*tokenizer)->encode(text);
    tokens = ids.size();
    benchmark::DoNotOptimize(ids.data());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
  state.counters["tokens"] = static_cast<double>(tokens);
}
BENCHMARK(encode)->Arg(1'000)->Arg(100'000)->Unit(benchmark::kMillisecond);

void encode_one_long_word(benchmark::State& state) {
  const auto tokenizer = load_tokenizer(model_path());
  if (!tokenizer) {
    state.SkipWithError(tokenizer.error().text().c_str());
    return;
  }
  std::string text;
  for (unsigned i = 0; text.size() < 100'000; ++i)
    text += static_cast<char>('a' + (i * i * 7 + i / 3) % 26);
  for (auto _ : state)
    benchmark::DoNotOptimize((*tokenizer)->encode(text));
}
BENCHMARK(encode_one_long_word)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace llmd::tokenizer
