// The arithmetic of a decoder, once per instruction set. All sets give the same bits: every output element is
// computed by one fixed sequence of IEEE operations (sums run over columns in order, one accumulator per
// output in quantised products, two in float ones; reductions use 16 lanes and a fixed tree), whatever the
// vector width and whoever shares the call.
//
// Rows of floats are padded with zeros to a multiple of 32 elements. Functions are pure and may run on any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/cpu.h"
#include "modelfile/tensor.h"

namespace llmd::engine {

// Rows quantised to signed bytes, per 32 columns: x ~ scale * code. Sixteen rows stand side by side, so that
// a kernel that works on several tokens walks through memory in one stream; at() says where. There is memory
// for whole groups of rows: kernels may read (not use) the rows beyond the last.
inline constexpr int kQuantRowGroup = 16;
struct QuantRows {
  std::int8_t* codes = nullptr;  // 32 per (row, block)
  float* scale = nullptr;
  float* scaled_sum = nullptr;                // scale * (sum of the codes)
  std::int32_t* negative_sum = nullptr;       // -(sum of the codes)
  std::int32_t* negative_half_sum = nullptr;  // two per (row, block): of the first and second 16
  // For the matrix unit, null elsewhere: the codes as bfloats, which is exact; 32 per (row, block), of each
  // four columns in the order 0, 2, 1, 3.
  std::uint16_t* wide = nullptr;
  int blocks = 0;  // per row

  // Always inlined: a copy of it compiled for one instruction set must not serve another.
  [[gnu::always_inline]] std::ptrdiff_t at(int row, int block) const {
    const std::ptrdiff_t group = row / kQuantRowGroup;
    return (group * blocks + block) * kQuantRowGroup + row % kQuantRowGroup;
  }
};

// out[t][r] (+)= sum over c of weight[r][c] * x[t][c] for some rows of weights, from the first of a tile on,
// and `tokens` rows of activations.
struct GemmCall {
  modelfile::TensorType type = modelfile::TensorType::F32;
  const std::byte* tile = nullptr;
  std::size_t tile_bytes = 0;  // from tile to tile
  int rows = 16;               // of weights
  int columns = 0;
  QuantRows quantised;       // for quantised types, starting at the first token
  const float* x = nullptr;  // for float types
  std::ptrdiff_t x_stride = 0;
  int tokens = 0;
  float* out = nullptr;  // of the first row and first token
  std::ptrdiff_t out_stride = 0;
  bool accumulate = false;  // add to what is in `out`
};

// Attention of some query rows that share one key/value head over a paged cache.
// A block stores, for one head, keys as [group of 16 positions][dimension][16] and values as
// [position][padded dimension], both half floats; `values` is the distance from keys to values.
struct AttentionCall {
  const std::uint16_t* keys = nullptr;  // of block 0
  std::ptrdiff_t block_stride = 0;      // in elements
  std::ptrdiff_t values = 0;
  const int* block_table = nullptr;
  int block_size = 0;
  int head_dim = 0;
  float scale = 1;
  int rows = 0;  // at most kMaxAttentionRows
  const float* const* queries = nullptr;
  float* const* out = nullptr;
  const int* lengths = nullptr;     // positions each row sees, at least 1
  float* scores = nullptr;          // scratch: rows * score_stride floats
  std::ptrdiff_t score_stride = 0;  // at least the longest length in whole blocks of whole groups
};
inline constexpr int kMaxAttentionRows = 12;
inline constexpr int kKeyGroup = 16;

struct Kernels {
  InstructionSet set = InstructionSet::Scalar;
  void (*gemm)(const GemmCall& call) = nullptr;
  // Quantises row `row` of `rows` from x (blocks * 32 floats).
  void (*quantise)(const float* x, const QuantRows& rows, int row) = nullptr;
  // out = x / sqrt(mean(x^2) + epsilon) * weight; `count` elements count, `padded` are computed.
  void (*rms_norm)(const float* x, const float* weight, int count, int padded, float epsilon,
                   float* out) = nullptr;
  // out = gate / (1 + exp(-gate)) * up; `padded` is a multiple of 16.
  void (*silu_multiply)(const float* gate, const float* up, int padded, float* out) = nullptr;
  // Rotates the pairs (x[i], x[i + half]) by the angles whose cosine and sine are given.
  void (*rotate)(float* x, const float* cosine, const float* sine, int half) = nullptr;
  void (*to_half)(const float* x, int count, std::uint16_t* out) = nullptr;
  void (*attend)(const AttentionCall& call) = nullptr;
};

const Kernels& kernels_for(InstructionSet set);

// Defined in the file of each set.
extern const Kernels kScalarKernels;
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
void amx_gemm(const GemmCall& call);  // the one kernel in which Amx differs from Avx512

}  // namespace llmd::engine
