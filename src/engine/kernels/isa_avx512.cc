// AVX-512 with VNNI: quantised products by vpdpbusd, which multiplies four unsigned codes of a row with four
// signed activations and adds the products to a 32-bit sum, for 16 rows at once. Integer sums are exact, so
// their order is free.

#include <immintrin.h>

#include "engine/kernels/block_types.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/packed_matrix.h"

namespace llmd::engine {
namespace {
inline constexpr int kMostTokens = 8;
inline constexpr int kMostRows = 12;
inline constexpr int kMostSums = 24;
inline constexpr int kValueVectors = 2;
}  // namespace
}  // namespace llmd::engine

#include "engine/kernels/lane_attention.h"
#include "engine/kernels/lane_kernels.h"

namespace llmd::engine {
namespace {

using modelfile::TensorType;

// How far ahead of its use a weight is fetched: a few hundred nanoseconds of reading.
constexpr int kPrefetchBytes = 4096;

LLMD_INLINE __m512 scales_at(const std::byte* from, bool half) {
  return half ? _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)))
              : _mm512_loadu_ps(reinterpret_cast<const float*>(from));
}

LLMD_INLINE __m512i four_codes(const std::int8_t* x) {
  std::int32_t four;
  __builtin_memcpy(&four, x, sizeof four);
  return _mm512_set1_epi32(four);
}

// Adds the products of part of a block to the sums of all tokens: for 4-bit types, stored vectors kFirst ..
// kEnd - 1 hold columns 4i and, in the high nibbles, 16 + 4i. The tokens' sums are independent chains,
// interleaved here because one alone would wait five cycles per step.
template <bool kNibbles, int kFirst, int kEnd, int kTokens>
LLMD_INLINE void add_products(const std::byte* block, const std::int8_t* x, __m512i (&sum)[kTokens]) {
  const __m512i low = _mm512_set1_epi8(15);
  for (int i = kFirst; i < kEnd; ++i) {
    const __m512i stored = _mm512_loadu_si512(block + i * 64);
    const __m512i first = kNibbles ? _mm512_and_si512(stored, low) : stored;
    for (int t = 0; t < kTokens; ++t) {
      sum[t] = _mm512_dpbusd_epi32(sum[t], first, four_codes(x + t * 32 + 4 * i));
    }
    if constexpr (kNibbles) {
      const __m512i second = _mm512_and_si512(_mm512_srli_epi16(stored, 4), low);
      for (int t = 0; t < kTokens; ++t) {
        sum[t] = _mm512_dpbusd_epi32(sum[t], second, four_codes(x + t * 32 + 16 + 4 * i));
      }
    }
  }
}

// The sum of (code - zero) * x starts at zero * -(sum of x).
template <int kZero>
LLMD_INLINE __m512i start_sum(std::int32_t negative_sum) {
  return kZero == 0 ? _mm512_setzero_si512() : _mm512_set1_epi32(negative_sum * kZero);
}

template <int kTokens>
LLMD_INLINE void scale_products(const __m512i (&dot)[kTokens], __m512 scale, const float* x_scale,
                                __m512 (&sum)[kTokens]) {
  for (int t = 0; t < kTokens; ++t) {
    const __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(x_scale[t]));
    sum[t] = _mm512_fmadd_ps(both, _mm512_cvtepi32_ps(dot[t]), sum[t]);
  }
}

template <TensorType kType, int kTokens>
LLMD_INLINE void quantised_tokens(const GemmCall& call, int first) {
  constexpr BlockLayout kLayout = block_layout(kType);
  constexpr int kZero = code_zero(kType);
  constexpr bool kHalf = kLayout.scales == 32;
  constexpr bool kNibbles = kLayout.codes == 256;
  const QuantRows& x = call.quantised;
  __m512 sum[kTokens];
  for (int t = 0; t < kTokens; ++t) {
    sum[t] = _mm512_setzero_ps();
  }
  const std::byte* block = call.tile;
  std::ptrdiff_t at = x.at(first, 0);
  for (int b = 0; b < x.blocks; ++b, at += kQuantRowGroup, block += kLayout.bytes()) {
    // The hardware prefetcher stops at page borders, about every twelfth block; a step of decoding is all
    // such reads.
    for (int line = 0; line < kLayout.bytes(); line += 64) {
      __builtin_prefetch(block + kPrefetchBytes + line);
    }
    const std::int8_t* const codes = x.codes + at * 32;
    const __m512 scale = scales_at(block + kLayout.codes, kHalf);
    __m512i dot[kTokens];
    if constexpr (kType == TensorType::Q6_K) {
      const __m512 scale2 = scales_at(block + kLayout.codes + 64, kHalf);
      for (int t = 0; t < kTokens; ++t) {
        dot[t] = start_sum<kZero>(x.negative_half_sum[2 * (at + t)]);
      }
      add_products<kNibbles, 0, 4>(block, codes, dot);
      scale_products(dot, scale, x.scale + at, sum);
      for (int t = 0; t < kTokens; ++t) {
        dot[t] = start_sum<kZero>(x.negative_half_sum[2 * (at + t) + 1]);
      }
      add_products<kNibbles, 4, 8>(block, codes, dot);
      scale_products(dot, scale2, x.scale + at, sum);
    } else {
      for (int t = 0; t < kTokens; ++t) {
        dot[t] = start_sum<kZero>(x.negative_sum[at + t]);
      }
      add_products<kNibbles, 0, kNibbles ? 4 : 8>(block, codes, dot);
      scale_products(dot, scale, x.scale + at, sum);
    }
    if constexpr (kLayout.mins != 0) {
      const __m512 min = scales_at(block + kLayout.codes + kLayout.scales, kHalf);
      for (int t = 0; t < kTokens; ++t) {
        sum[t] = _mm512_fmadd_ps(min, _mm512_set1_ps(x.scaled_sum[at + t]), sum[t]);
      }
    }
  }
  for (int t = 0; t < kTokens; ++t) {
    put_rows(call, first + t, __builtin_bit_cast(Lanes, sum[t]));
  }
}

template <TensorType kType>
void quantised_gemm(const GemmCall& call) {
  each_token_group<kMostTokens>(
      call.tokens, 0, [&]<int kTokens>(int first) { quantised_tokens<kType, kTokens>(call, first); });
}

void tile_gemm(const GemmCall& call) {
  const bool done = with_block_type(call.type, [&]<TensorType kType>() { quantised_gemm<kType>(call); });
  if (!done) {
    any_float_gemm(call);
  }
}

void gemm(const GemmCall& call) {
  each_tile(call, tile_gemm);
}

}  // namespace

const Kernels kAvx512Kernels = {.set = InstructionSet::Avx512,
                                .gemm = gemm,
                                .quantise = quantise_row,
                                .rms_norm = normalise_row,
                                .silu_multiply = silu_multiply_row,
                                .rotate = rotate_head,
                                .to_half = row_to_half,
                                .attend = attend};

}  // namespace llmd::engine
