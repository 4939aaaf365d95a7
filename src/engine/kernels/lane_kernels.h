// The kernels that are written once in terms of Lanes and compiled per instruction set (see lanes.h for the
// rules). kMostTokens, kMostRows, kMostSums and kValueVectors fit the work to the number of registers; they
// change no result.
#pragma once

#include "engine/kernels/kernels.h"
#include "engine/kernels/lanes.h"

namespace llmd::engine {
namespace {

// --- products with float weights
// ---------------------------------------------------------------------------------

// Calls body(call of one tile) for each tile.
template <typename Body>
LLMD_INLINE void each_tile(GemmCall call, Body body) {
  const int rows = call.rows;
  for (int row = 0; row < rows; row += kLanes) {
    call.rows = rows - row < kLanes ? rows - row : kLanes;
    body(call);
    call.tile += call.tile_bytes;
    call.out += kLanes;
  }
}

LLMD_INLINE void put_rows(const GemmCall& call, int token, Lanes value) {
  float* const out = call.out + token * call.out_stride;
  if (call.rows == kLanes) {
    store(out, call.accumulate ? load(out) + value : value);
    return;
  }
  for (int r = 0; r < call.rows; ++r) {
    out[r] = call.accumulate ? out[r] + value[r] : value[r];
  }
}

// Even and odd columns have an accumulator each: the two chains run in parallel.
template <typename Weight, int kTokens>
LLMD_INLINE void float_tokens(const GemmCall& call, int first) {
  Lanes even[kTokens] = {};
  Lanes odd[kTokens] = {};
  const auto* weights = reinterpret_cast<const Weight*>(call.tile);
  const float* const x = call.x + first * call.x_stride;
  int column = 0;
  for (; column + 1 < call.columns; column += 2, weights += 2 * kLanes) {
    const Lanes w0 = load_weights(weights);
    const Lanes w1 = load_weights(weights + kLanes);
    for (int t = 0; t < kTokens; ++t) {
      even[t] = fma(w0, Lanes(x[t * call.x_stride + column]), even[t]);
      odd[t] = fma(w1, Lanes(x[t * call.x_stride + column + 1]), odd[t]);
    }
  }
  if (column < call.columns) {
    const Lanes w0 = load_weights(weights);
    for (int t = 0; t < kTokens; ++t) {
      even[t] = fma(w0, Lanes(x[t * call.x_stride + column]), even[t]);
    }
  }
  for (int t = 0; t < kTokens; ++t) {
    put_rows(call, first + t, even[t] + odd[t]);
  }
}

// Calls body<kTokens>(first token) so that all tokens are covered, in groups as large as the registers allow.
template <int kTokens, typename Body>
LLMD_INLINE void each_token_group(int tokens, int first, Body body) {
  for (; tokens - first >= kTokens; first += kTokens) {
    body.template operator()<kTokens>(first);
  }
  if constexpr (kTokens > 1) {
    each_token_group<kTokens / 2>(tokens, first, body);
  }
}

template <typename Weight>
void float_gemm(const GemmCall& call) {
  each_token_group<kMostTokens>(call.tokens, 0,
                                [&]<int kTokens>(int first) { float_tokens<Weight, kTokens>(call, first); });
}

// Of the type the call says. False: these weights are no floats, and nothing was multiplied.
bool any_float_gemm(const GemmCall& call) {
  using modelfile::TensorType;
  switch (call.type) {
    case TensorType::F32:
      float_gemm<float>(call);
      return true;
    case TensorType::F16:
      float_gemm<_Float16>(call);
      return true;
    case TensorType::BF16:
      float_gemm<Bfloat>(call);
      return true;
    default:
      return false;
  }
}

// --- rows
// --------------------------------------------------------------------------------------------------------

// One block's codes, and what the matrix unit wants of them.
LLMD_INLINE void put_codes(const QuantRows& rows, std::ptrdiff_t at, IntLanes first, IntLanes second) {
  using Bytes = std::int8_t __attribute__((ext_vector_type(32)));
  using Words = std::uint16_t __attribute__((ext_vector_type(32)));
  using Codes = std::int32_t __attribute__((ext_vector_type(32)));
  Codes both;
  both.lo = first;
  both.hi = second;
  const Bytes bytes = __builtin_convertvector(both, Bytes);
  __builtin_memcpy(rows.codes + at * 2 * kLanes, &bytes, sizeof bytes);
  if (rows.wide != nullptr) {
    Codes values;
    values.lo = in_pairs(__builtin_bit_cast(IntLanes, __builtin_convertvector(first, Lanes)));
    values.hi = in_pairs(__builtin_bit_cast(IntLanes, __builtin_convertvector(second, Lanes)));
    const Words words = __builtin_convertvector(values >> 16, Words);
    __builtin_memcpy(rows.wide + at * 2 * kLanes, &words, sizeof words);
  }
}

// Blocks whose reductions run together: one lane of the result per half block.
inline constexpr int kBlocksAtOnce = kLanes / 2;

// The codes of some blocks (at most kBlocksAtOnce) of a row, from block `first`.
LLMD_INLINE void quantise_blocks(const float* x, const QuantRows& rows, int row, int first, int count) {
  Lanes halves[2 * kBlocksAtOnce];
  Lanes magnitude[kBlocksAtOnce];
  for (int b = 0; b < kBlocksAtOnce; ++b) {
    for (int h = 0; h < 2; ++h) {
      halves[2 * b + h] = b < count ? load(x + (2 * b + h) * kLanes) : Lanes(0.0F);
    }
    magnitude[b] =
        larger(larger(halves[2 * b], -halves[2 * b]), larger(halves[2 * b + 1], -halves[2 * b + 1]));
  }
  const Lanes scale = largest_of_eight(magnitude) / 127.0F;  // of block b in lanes 2b and 2b + 1
  const Lanes inverse = scale > 0.0F ? 1.0F / scale : Lanes(0.0F);
  IntLanes codes[2 * kBlocksAtOnce];
  for (int b = 0; b < kBlocksAtOnce; ++b) {
    for (int h = 0; h < 2; ++h) {
      codes[2 * b + h] = round_to_int(halves[2 * b + h] * inverse[2 * b]);
    }
  }
  for (int b = 0; b < count; ++b) {
    put_codes(rows, rows.at(row, first + b), codes[2 * b], codes[2 * b + 1]);
  }
  const IntLanes half_sum = sum_each(codes);
  const IntLanes sum = half_sum + swap_neighbours(half_sum);
  const Lanes scaled_sum = scale * __builtin_convertvector(sum, Lanes);
  for (int b = 0; b < count; ++b) {
    const std::ptrdiff_t at = rows.at(row, first + b);
    rows.scale[at] = scale[2 * b];
    rows.scaled_sum[at] = scaled_sum[2 * b];
    rows.negative_sum[at] = -sum[2 * b];
    rows.negative_half_sum[2 * at] = -half_sum[2 * b];
    rows.negative_half_sum[2 * at + 1] = -half_sum[2 * b + 1];
  }
}

void quantise_row(const float* x, const QuantRows& rows, int row) {
  for (int b = 0; b < rows.blocks; b += kBlocksAtOnce) {
    const int left = rows.blocks - b;
    quantise_blocks(x + static_cast<std::ptrdiff_t>(b) * 2 * kLanes, rows, row, b,
                    left < kBlocksAtOnce ? left : kBlocksAtOnce);
  }
}

void normalise_row(const float* x, const float* weight, int count, int padded, float epsilon, float* out) {
  Lanes squares = 0.0F;
  for (int i = 0; i < padded; i += kLanes) {
    const Lanes v = load(x + i);
    squares = fma(v, v, squares);
  }
  const float mean = add_lanes(squares) / static_cast<float>(count);
  const float scale = 1.0F / __builtin_sqrtf(mean + epsilon);
  for (int i = 0; i < padded; i += kLanes) {
    store(out + i, load(x + i) * scale * load(weight + i));
  }
}

void silu_multiply_row(const float* gate, const float* up, int padded, float* out) {
  for (int i = 0; i < padded; i += kLanes) {
    const Lanes g = load(gate + i);
    store(out + i, g / (exponential(-g) + 1.0F) * load(up + i));
  }
}

void rotate_head(float* x, const float* cosine, const float* sine, int half) {
  for (int i = 0; i < half; ++i) {
    const float a = x[i];
    const float b = x[i + half];
    x[i] = a * cosine[i] - b * sine[i];
    x[i + half] = b * cosine[i] + a * sine[i];
  }
}

void row_to_half(const float* x, int count, std::uint16_t* out) {
  int i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const HalfLanes half = __builtin_convertvector(load(x + i), HalfLanes);
    __builtin_memcpy(out + i, &half, sizeof half);
  }
  for (; i < count; ++i) {
    const auto half = static_cast<_Float16>(x[i]);
    __builtin_memcpy(out + i, &half, sizeof half);
  }
}

}  // namespace
}  // namespace llmd::engine
