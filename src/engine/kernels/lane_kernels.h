// The kernels that are written once in terms of Lanes and compiled per instruction set (see lanes.h for the
// rules). kMostTokens, kMostRows and kValueVectors fit the work to the number of registers; they change no
// result.
#pragma once

#include "engine/kernels/kernels.h"
#include "engine/kernels/lanes.h"

namespace llmd::engine {
namespace {

// --- products with float weights
// ---------------------------------------------------------------------------------

LLMD_INLINE void put_rows(const GemmCall& call, int token, Lanes value) {
  float* const out = call.out + token * call.out_stride;
  if (call.valid_rows == kLanes) {
    store(out, call.accumulate ? load(out) + value : value);
    return;
  }
  for (int r = 0; r < call.valid_rows; ++r) {
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

// --- rows
// --------------------------------------------------------------------------------------------------------

void quantise_row(const float* x, const QuantRows& rows, int row) {
  for (int b = 0; b < rows.blocks; ++b, x += 2 * kLanes) {
    const std::ptrdiff_t at = rows.at(row, b);
    const Lanes halves[2] = {load(x), load(x + kLanes)};
    const Lanes magnitude = larger(larger(halves[0], -halves[0]), larger(halves[1], -halves[1]));
    const float scale = largest_lane(magnitude) / 127.0F;
    const float inverse = scale > 0 ? 1.0F / scale : 0.0F;
    std::int32_t sums[2];
    for (int h = 0; h < 2; ++h) {
      const IntLanes code = round_to_int(halves[h] * inverse);
      using Bytes = std::int8_t __attribute__((ext_vector_type(16)));
      const Bytes bytes = __builtin_convertvector(code, Bytes);
      __builtin_memcpy(rows.codes + at * 2 * kLanes + h * kLanes, &bytes, sizeof bytes);
      sums[h] = __builtin_reduce_add(code);
    }
    rows.scale[at] = scale;
    rows.negative_sum[at] = -(sums[0] + sums[1]);
    rows.negative_half_sum[2 * at] = -sums[0];
    rows.negative_half_sum[2 * at + 1] = -sums[1];
    rows.scaled_sum[at] = scale * static_cast<float>(sums[0] + sums[1]);
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
