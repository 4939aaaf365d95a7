// AVX-512 with VNNI: quantised products by vpdpbusd, which multiplies four unsigned codes of a row with four
// signed activations and adds the products to a 32-bit sum, for 16 rows at once. Integer sums are exact, so
// their order is free.

#include <immintrin.h>

#include "engine/kernels/kernels.h"
#include "engine/kernels/packed_matrix.h"

namespace llmd::engine {
namespace {
inline constexpr int kMostTokens = 8;
inline constexpr int kMostRows = 8;
inline constexpr int kValueVectors = 2;
}  // namespace
}  // namespace llmd::engine

#include "engine/kernels/lane_attention.h"
#include "engine/kernels/lane_kernels.h"

namespace llmd::engine {
namespace {

using modelfile::TensorType;

LLMD_INLINE __m512 scales_at(const std::byte* from, bool half) {
  return half ? _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)))
              : _mm512_loadu_ps(reinterpret_cast<const float*>(from));
}

// The eight vectors of codes of one block: vector i holds columns 4i .. 4i+3 of the 16 rows.
template <bool kNibbles>
LLMD_INLINE void load_codes(const std::byte* block, __m512i (&codes)[8]) {
  if constexpr (kNibbles) {
    const __m512i low = _mm512_set1_epi8(15);
    for (int i = 0; i < 4; ++i) {
      const __m512i pair = _mm512_loadu_si512(block + i * 64);
      codes[i] = _mm512_and_si512(pair, low);
      codes[i + 4] = _mm512_and_si512(_mm512_srli_epi16(pair, 4), low);
    }
  } else {
    for (int i = 0; i < 8; ++i) {
      codes[i] = _mm512_loadu_si512(block + i * 64);
    }
  }
}

// The sum of (code - zero) * x over columns 4 * kFirst .. 4 * kEnd - 1, given -(sum of x) over them.
template <int kFirst, int kEnd, int kZero>
LLMD_INLINE __m512 dot(const __m512i (&codes)[8], const std::int8_t* x, std::int32_t negative_sum) {
  __m512i sum = _mm512_setzero_si512();
  if constexpr (kZero != 0) {
    sum = _mm512_slli_epi32(_mm512_set1_epi32(negative_sum), __builtin_ctz(kZero));
  }
  for (int i = kFirst; i < kEnd; ++i) {
    std::int32_t four;
    __builtin_memcpy(&four, x + 4 * i, sizeof four);
    sum = _mm512_dpbusd_epi32(sum, codes[i], _mm512_set1_epi32(four));
  }
  return _mm512_cvtepi32_ps(sum);
}

template <TensorType kType, int kTokens>
LLMD_INLINE void quantised_tokens(const GemmCall& call, int first) {
  constexpr BlockLayout kLayout = block_layout(kType);
  constexpr int kZero = code_zero(kType);
  constexpr bool kHalf = kLayout.scales == 32;
  const QuantRows& x = call.quantised;
  __m512 sum[kTokens];
  for (int t = 0; t < kTokens; ++t) {
    sum[t] = _mm512_setzero_ps();
  }
  const std::byte* block = call.tile;
  const std::ptrdiff_t row = x.blocks;
  std::ptrdiff_t at = first * row;
  for (int b = 0; b < x.blocks; ++b, ++at, block += kLayout.bytes()) {
    __m512i codes[8];
    load_codes<kLayout.codes == 256>(block, codes);
    const __m512 scale = scales_at(block + kLayout.codes, kHalf);
    for (int t = 0; t < kTokens; ++t) {
      const std::ptrdiff_t i = at + t * row;
      const __m512 x_scale = _mm512_set1_ps(x.scale[i]);
      const std::int8_t* const x_codes = x.codes + i * 32;
      if constexpr (kType == TensorType::Q6_K) {
        const __m512 scale2 = scales_at(block + kLayout.codes + 64, kHalf);
        sum[t] = _mm512_fmadd_ps(_mm512_mul_ps(scale, x_scale),
                                 dot<0, 4, kZero>(codes, x_codes, x.negative_half_sum[2 * i]), sum[t]);
        sum[t] = _mm512_fmadd_ps(_mm512_mul_ps(scale2, x_scale),
                                 dot<4, 8, kZero>(codes, x_codes, x.negative_half_sum[2 * i + 1]), sum[t]);
      } else {
        sum[t] = _mm512_fmadd_ps(_mm512_mul_ps(scale, x_scale),
                                 dot<0, 8, kZero>(codes, x_codes, x.negative_sum[i]), sum[t]);
      }
      if constexpr (kLayout.mins != 0) {
        const __m512 min = scales_at(block + kLayout.codes + kLayout.scales, kHalf);
        sum[t] = _mm512_fmadd_ps(min, _mm512_set1_ps(x.scaled_sum[i]), sum[t]);
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

void gemm(const GemmCall& call) {
  switch (call.type) {
    case TensorType::F32:
      return float_gemm<float>(call);
    case TensorType::F16:
      return float_gemm<_Float16>(call);
    case TensorType::BF16:
      return float_gemm<Bfloat>(call);
    case TensorType::Q4_0:
      return quantised_gemm<TensorType::Q4_0>(call);
    case TensorType::Q4_1:
      return quantised_gemm<TensorType::Q4_1>(call);
    case TensorType::Q5_0:
      return quantised_gemm<TensorType::Q5_0>(call);
    case TensorType::Q5_1:
      return quantised_gemm<TensorType::Q5_1>(call);
    case TensorType::Q8_0:
      return quantised_gemm<TensorType::Q8_0>(call);
    case TensorType::Q4_K:
      return quantised_gemm<TensorType::Q4_K>(call);
    case TensorType::Q5_K:
      return quantised_gemm<TensorType::Q5_K>(call);
    case TensorType::Q6_K:
      return quantised_gemm<TensorType::Q6_K>(call);
  }
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
