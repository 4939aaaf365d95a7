// Speed of products of the shapes of a small model (tokens/columns/rows/distance of output rows):
// multiplications per second as "items".
//
//   engine_kernels_bench --benchmark_filter=Q4_1

#include <benchmark/benchmark.h>

#include <fmt/format.h>

#include <vector>

#include "engine/kernels/aligned_buffer.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/packed_matrix.h"

namespace llmd::engine {
namespace {

using modelfile::TensorType;

void multiply(benchmark::State& state, TensorType type, InstructionSet set) {
  const auto tokens = static_cast<int>(state.range(0));
  const auto columns = static_cast<int>(state.range(1));
  const auto row_count = static_cast<int>(state.range(2));
  const auto stride = static_cast<int>(state.range(3));
  const Kernels& kernels = kernels_for(set);
  PackedMatrix matrix(type, row_count, columns);
  const AlignedBuffer weights(matrix.bytes());
  matrix.data = weights.data();
  const int blocks = columns / kQuantBlock;
  const auto places =
      static_cast<std::size_t>((tokens + kQuantRowGroup - 1) / kQuantRowGroup * kQuantRowGroup) *
      static_cast<std::size_t>(blocks);
  const AlignedBuffer codes(places * kQuantBlock);
  const AlignedBuffer numbers(places * sizeof(float) * 5);
  const AlignedBuffer wide(places * kQuantBlock * sizeof(std::uint16_t));
  QuantRows rows{.codes = codes.as<std::int8_t>(),
                 .scale = numbers.as<float>(),
                 .scaled_sum = numbers.as<float>() + places,
                 .negative_sum = numbers.as<std::int32_t>() + 2 * places,
                 .negative_half_sum = numbers.as<std::int32_t>() + 3 * places,
                 .wide = wide.as<std::uint16_t>(),
                 .blocks = blocks};
  std::uint32_t noise = 1;
  const auto next = [&noise] { return (noise = noise * 1664525 + 1013904223) >> 24U; };
  for (std::size_t i = 0; i < matrix.bytes(); ++i) {
    matrix.data[i] = static_cast<std::byte>(next() & 0x3fU);
  }
  std::vector<float> row(static_cast<std::size_t>(columns));
  for (int t = 0; t < tokens; ++t) {
    for (float& x : row) {
      x = static_cast<float>(next()) - 127.5F;
    }
    kernels.quantise(row.data(), rows, t);
  }
  const AlignedBuffer out(static_cast<std::size_t>(tokens * stride) * sizeof(float));
  for (auto _ : state) {
    kernels.gemm({.type = type,
                  .tile = matrix.data,
                  .tile_bytes = matrix.tile_bytes,
                  .rows = matrix.rows,
                  .columns = columns,
                  .quantised = rows,
                  .tokens = tokens,
                  .out = out.as<float>(),
                  .out_stride = stride});
  }
  state.SetItemsProcessed(state.iterations() * matrix.rows * columns * tokens);
}

const bool kRegistered = [] {
  for (const auto set : {InstructionSet::Avx2, InstructionSet::Avx512, InstructionSet::Amx}) {
    for (const auto type : {TensorType::Q4_1, TensorType::Q8_0, TensorType::Q6_K}) {
      if (supported(set)) {
        benchmark::RegisterBenchmark(fmt::format("{}/{}", to_string(set), to_string(type)).c_str(), multiply,
                                     type, set)
            ->Args({8, 576, 1536, 3072})
            ->Args({16, 576, 1536, 3072})
            ->Args({32, 576, 1536, 3072})
            ->Args({64, 576, 1536, 3072})
            ->Args({64, 1536, 576, 576})
            ->Args({256, 576, 1536, 3072})
            ->Args({256, 1536, 576, 576});
      }
    }
  }
  return true;
}();

}  // namespace
}  // namespace llmd::engine
