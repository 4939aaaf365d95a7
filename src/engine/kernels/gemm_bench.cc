// Speed of the products, one weight tile at a time, everything in the first two caches: multiplications per
// second as "items".
//
//   engine_kernels_bench --benchmark_filter=Q4_1

#include <benchmark/benchmark.h>

#include <fmt/format.h>

#include "engine/kernels/aligned_buffer.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/packed_matrix.h"

namespace llmd::engine {
namespace {

using modelfile::TensorType;

constexpr int kColumns = 576;
constexpr int kTiles = 8;

void multiply(benchmark::State& state, TensorType type, InstructionSet set) {
  const auto tokens = static_cast<int>(state.range(0));
  PackedMatrix matrix(type, kTiles * kTileRows, kColumns);
  const AlignedBuffer weights(matrix.bytes());
  matrix.data = weights.data();
  constexpr int kBlocks = kColumns / kQuantBlock;
  const auto places =
      static_cast<std::size_t>((tokens + kQuantRowGroup - 1) / kQuantRowGroup * kQuantRowGroup) * kBlocks;
  const AlignedBuffer codes(places * kQuantBlock);
  const AlignedBuffer numbers(places * sizeof(float) * 5);
  const AlignedBuffer wide(places * kQuantBlock * sizeof(std::uint16_t));
  QuantRows rows{.codes = codes.as<std::int8_t>(),
                 .scale = numbers.as<float>(),
                 .scaled_sum = numbers.as<float>() + places,
                 .negative_sum = numbers.as<std::int32_t>() + 2 * places,
                 .negative_half_sum = numbers.as<std::int32_t>() + 3 * places,
                 .wide = wide.as<std::uint16_t>(),
                 .blocks = kBlocks};
  const AlignedBuffer out(static_cast<std::size_t>(tokens * matrix.rows) * sizeof(float));
  const Kernels& kernels = kernels_for(set);
  for (auto _ : state) {
    kernels.gemm({.type = type,
                  .tile = matrix.data,
                  .tile_bytes = matrix.tile_bytes,
                  .rows = matrix.rows,
                  .columns = kColumns,
                  .quantised = rows,
                  .tokens = tokens,
                  .out = out.as<float>(),
                  .out_stride = matrix.rows});
  }
  state.SetItemsProcessed(state.iterations() * matrix.rows * kColumns * tokens);
}

const bool kRegistered = [] {
  for (const auto set : {InstructionSet::Avx2, InstructionSet::Avx512, InstructionSet::Amx}) {
    for (const auto type : {TensorType::Q4_1, TensorType::Q8_0, TensorType::Q6_K}) {
      if (supported(set)) {
        benchmark::RegisterBenchmark(fmt::format("{}/{}", to_string(set), to_string(type)).c_str(), multiply,
                                     type, set)
            ->Arg(1)
            ->Arg(8)
            ->Arg(16)
            ->Arg(128);
      }
    }
  }
  return true;
}();

}  // namespace
}  // namespace llmd::engine
