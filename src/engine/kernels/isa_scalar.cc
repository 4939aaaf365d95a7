// The oracle: quantised products as plain loops, the rest of the kernels without any instruction set beyond
// x86-64.

#include "engine/kernels/kernels.h"
#include "engine/kernels/packed_matrix.h"

namespace llmd::engine {
namespace {
inline constexpr int kMostTokens = 1;
inline constexpr int kMostRows = 1;
inline constexpr int kMostSums = 1;
inline constexpr int kValueVectors = 1;
}  // namespace
}  // namespace llmd::engine

#include "engine/kernels/lane_attention.h"
#include "engine/kernels/lane_kernels.h"

namespace llmd::engine {
namespace {

using modelfile::TensorType;

int code_of(const std::byte* block, bool nibbles, int row, int k) {
  const int folded = nibbles ? k % 16 : k;
  const int byte = static_cast<int>(block[(folded / 4 * kLanes + row) * 4 + folded % 4]);
  return !nibbles ? byte : k < 16 ? byte & 15 : byte >> 4;
}

float number_of(const std::byte* from, int row, bool half) {
  if (half) {
    _Float16 value;
    __builtin_memcpy(&value, from + 2L * row, sizeof value);
    return static_cast<float>(value);
  }
  float value;
  __builtin_memcpy(&value, from + 4L * row, sizeof value);
  return value;
}

float quantised_dot(const GemmCall& call, const BlockLayout& layout, int zero, int row, int token) {
  const QuantRows& x = call.quantised;
  const bool nibbles = layout.codes == 256;
  const bool half = layout.scales == 32;
  const bool two_scales = layout.scales == 128;
  float sum = 0;
  for (int b = 0; b < x.blocks; ++b) {
    const std::byte* const block = call.tile + static_cast<std::ptrdiff_t>(b) * layout.bytes();
    const std::ptrdiff_t at = x.at(token, b);
    std::int32_t dots[2] = {0, 0};
    for (int k = 0; k < 32; ++k) {
      dots[two_scales ? k / 16 : 0] += (code_of(block, nibbles, row, k) - zero) * x.codes[at * 32 + k];
    }
    for (int part = 0; part < (two_scales ? 2 : 1); ++part) {
      const float scale = number_of(block + layout.codes, row + part * kLanes, half);
      sum = __builtin_fmaf(scale * x.scale[at], static_cast<float>(dots[part]), sum);
    }
    if (layout.mins != 0) {
      sum = __builtin_fmaf(number_of(block + layout.codes + layout.scales, row, half), x.scaled_sum[at], sum);
    }
  }
  return sum;
}

void tile_gemm(const GemmCall& call) {
  if (any_float_gemm(call)) {
    return;
  }
  const BlockLayout layout = block_layout(call.type);
  const int zero = code_zero(call.type);
  for (int t = 0; t < call.tokens; ++t) {
    Lanes sum = 0.0F;
    for (int r = 0; r < call.rows; ++r) {
      sum[r] = quantised_dot(call, layout, zero, r, t);
    }
    put_rows(call, t, sum);
  }
}

void gemm(const GemmCall& call) {
  each_tile(call, tile_gemm);
}

}  // namespace

extern const Kernels kScalarKernels = {.set = InstructionSet::Scalar,
                                       .gemm = gemm,
                                       .quantise = quantise_row,
                                       .rms_norm = normalise_row,
                                       .silu_multiply = silu_multiply_row,
                                       .rotate = rotate_head,
                                       .to_half = row_to_half,
                                       .attend = attend};

}  // namespace llmd::engine
