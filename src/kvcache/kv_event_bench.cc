// Goal: 5 million blocks per second decoded and taken up is the aim of the event path's design; this says
// where we are.
#include <benchmark/benchmark.h>

#include <random>

#include "kvcache/kv_event.h"
#include "kvcache/kv_index.h"

namespace llmd::kvcache {
namespace {

constexpr std::size_t kBlockSize = 16;

EventBatch batch_of(std::mt19937_64& random, std::size_t blocks) {
  BlockStored stored{.block_size = kBlockSize};
  for (std::size_t i = 0; i < blocks; ++i) {
    stored.hashes.push_back(random());
  }
  for (std::size_t i = 0; i < blocks * kBlockSize; ++i) {
    stored.tokens.push_back(static_cast<TokenId>(random() % 150'000));
  }
  EventBatch batch;
  batch.events.emplace_back(std::move(stored));
  return batch;
}

void decode(benchmark::State& state) {
  std::mt19937_64 random(1);
  const std::string payload = encode_events(batch_of(random, 64), EventEncoding::Array);
  for (auto _ : state) {
    benchmark::DoNotOptimize(decode_events(payload));
  }
  state.SetItemsProcessed(state.iterations() * 64);
}
BENCHMARK(decode);

// One engine in steady state: as many blocks leave as come.
void apply(benchmark::State& state) {
  std::mt19937_64 random(1);
  KvIndex index({});
  const EndpointHandle endpoint = *index.add_endpoint();
  std::vector<EventBatch> stored;
  for (int i = 0; i < 500; ++i) {
    stored.push_back(batch_of(random, 64));
  }
  std::size_t next = 0;
  for (auto _ : state) {
    const EventBatch& batch = stored[next++ % stored.size()];
    index.apply(endpoint, "m", batch);
    EventBatch removed;
    const auto& old = std::get<BlockStored>(stored[(next + 250) % stored.size()].events[0]);
    removed.events.emplace_back(BlockRemoved{.hashes = old.hashes});
    index.apply(endpoint, "m", removed);
  }
  state.SetItemsProcessed(state.iterations() * 64);
}
BENCHMARK(apply);

void request_keys(benchmark::State& state) {
  std::mt19937_64 random(1);
  const auto algorithm = static_cast<KeyAlgorithm>(state.range(0));
  const RequestKeys keys(algorithm, "", "m");
  const auto tokens = std::get<BlockStored>(batch_of(random, 625).events[0]).tokens;
  std::vector<BlockHash> chain(625);
  for (auto _ : state) {
    benchmark::DoNotOptimize(keys.chain(keys.init(), tokens, kBlockSize, {}, chain));
  }
  state.SetItemsProcessed(state.iterations() * 625);
}
BENCHMARK(request_keys)->Arg(0)->Arg(1);

void approximate_units(benchmark::State& state) {
  const std::string text(400'000, 'x');
  std::vector<std::uint64_t> units;
  std::vector<BlockHash> chain(6'400);
  for (auto _ : state) {
    units.clear();
    UnitHasher hasher;
    hasher.feed(text, units);
    hasher.finish(units);
    benchmark::DoNotOptimize(approximate_chain(1, units, 1, chain));
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}
BENCHMARK(approximate_units);

}  // namespace
}  // namespace llmd::kvcache
