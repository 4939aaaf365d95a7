// How fast a body is scanned and its prompt hashed.
#include <benchmark/benchmark.h>

#include <string>

#include "openai/request_scan.h"

namespace llmd::openai {
namespace {

std::string body_of(std::size_t prompt_bytes, std::string_view text) {
  std::string body = R"({"model":"m","stream":true,"messages":[{"role":"user","content":")";
  while (body.size() < prompt_bytes) {
    body += text;
  }
  return body + R"("}],"max_tokens":16})";
}

void scan(benchmark::State& state, std::string_view text) {
  const std::string body = body_of(static_cast<std::size_t>(state.range(0)), text);
  for (auto _ : state) {
    RequestScan scan;
    scan.feed(body);
    benchmark::DoNotOptimize(scan.finish());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * body.size()));
}

void BM_ScanProse(benchmark::State& state) {
  scan(state, "The quick brown fox jumps over the lazy dog and goes on for a while before it stops. ");
}
BENCHMARK(BM_ScanProse)->Arg(1 << 10)->Arg(220 << 10)->Arg(2 << 20);

void BM_ScanCode(benchmark::State& state) {
  scan(state, "    if (value == \\\"none\\\") {\\n        return 0;\\n    }\\n");
}
BENCHMARK(BM_ScanCode)->Arg(220 << 10);

void BM_ScanPicture(benchmark::State& state) {
  std::string body = R"({"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":)"
                     R"({"url":"data:image/png;base64,)";
  body.append(1 << 20, 'A');
  body += R"("}}]}]})";
  for (auto _ : state) {
    RequestScan scan;
    scan.feed(body);
    benchmark::DoNotOptimize(scan.finish());
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * body.size()));
}
BENCHMARK(BM_ScanPicture);

}  // namespace
}  // namespace llmd::openai
