// AVX2 with FMA and F16C. There is no dot instruction here: products of bytes are added in pairs to 16 bits
// (vpmaddubsw), which must not overflow, and then to 32 bits. A tile is worked on as two halves of 8 rows.

#include <immintrin.h>

#include "engine/kernels/block_types.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/packed_matrix.h"

namespace llmd::engine {
namespace {
inline constexpr int kMostTokens = 4;
inline constexpr int kMostRows = 4;
inline constexpr int kMostSums = 4;
inline constexpr int kValueVectors = 1;
}  // namespace
}  // namespace llmd::engine

#include "engine/kernels/lane_attention.h"
#include "engine/kernels/lane_kernels.h"

namespace llmd::engine {
namespace {

using modelfile::TensorType;

LLMD_INLINE __m256 scales_at(const std::byte* from, int half_tile, bool half) {
  return half ? _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from) + half_tile))
              : _mm256_loadu_ps(reinterpret_cast<const float*>(from) + 8L * half_tile);
}

// Columns 4i .. 4i+3 of eight rows, as unsigned codes.
template <bool kNibbles>
LLMD_INLINE __m256i codes_at(const std::byte* block, int half_tile, int i) {
  const int stored = kNibbles ? i % 4 : i;
  const __m256i bytes =
      _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block + stored * 64 + half_tile * 32));
  if constexpr (!kNibbles) {
    return bytes;
  }
  const __m256i shifted = i < 4 ? bytes : _mm256_srli_epi16(bytes, 4);
  return _mm256_and_si256(shifted, _mm256_set1_epi8(15));
}

constexpr int largest_code(TensorType type) {
  switch (type) {
    case TensorType::Q4_0:
    case TensorType::Q4_1:
    case TensorType::Q4_K:
      return 15;
    case TensorType::Q5_0:
    case TensorType::Q5_1:
    case TensorType::Q5_K:
      return 31;
    case TensorType::Q6_K:
      return 63;
    default:
      return 255;
  }
}

// The sum of (code - zero) * x over columns 4 * kFirst .. 4 * kEnd - 1, given -(sum of x) over them.
template <TensorType kType, int kFirst, int kEnd>
LLMD_INLINE __m256 dot(const std::byte* block, int half_tile, const std::int8_t* x,
                       std::int32_t negative_sum) {
  constexpr bool kNibbles = block_layout(kType).codes == 256;
  constexpr int kLargest = largest_code(kType);
  // How many pair sums of at most 2 * 127 * kLargest fit into 16 bits: they are added before widening.
  constexpr int kPairs = kLargest == 255 ? 1 : 32767 / (2 * 127 * kLargest);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sum = _mm256_setzero_si256();
  if constexpr (kLargest != 255 && code_zero(kType) != 0) {
    sum = _mm256_slli_epi32(_mm256_set1_epi32(negative_sum), __builtin_ctz(code_zero(kType)));
  }
  for (int i = kFirst; i < kEnd; i += kPairs) {
    __m256i pairs = _mm256_setzero_si256();
    for (int j = i; j < i + kPairs && j < kEnd; ++j) {
      std::int32_t four;
      __builtin_memcpy(&four, x + 4 * j, sizeof four);
      __m256i activation = _mm256_set1_epi32(four);
      __m256i code = codes_at<kNibbles>(block, half_tile, j);
      if constexpr (kLargest == 255) {
        // 255 * 127 * 2 would overflow: |code - 128| times x with the sign of code - 128 does not.
        code = _mm256_xor_si256(code, _mm256_set1_epi8(static_cast<char>(0x80)));
        activation = _mm256_sign_epi8(activation, code);
        code = _mm256_abs_epi8(code);
      }
      pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(code, activation));
    }
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
  }
  return _mm256_cvtepi32_ps(sum);
}

template <TensorType kType, int kTokens>
LLMD_INLINE void quantised_half(const GemmCall& call, int first, int half_tile, __m256 (&sum)[kTokens]) {
  constexpr BlockLayout kLayout = block_layout(kType);
  constexpr bool kHalf = kLayout.scales == 32;
  const QuantRows& x = call.quantised;
  const std::byte* block = call.tile;
  std::ptrdiff_t at = x.at(first, 0);
  for (int b = 0; b < x.blocks; ++b, at += kQuantRowGroup, block += kLayout.bytes()) {
    const __m256 scale = scales_at(block + kLayout.codes, half_tile, kHalf);
    for (int t = 0; t < kTokens; ++t) {
      const std::ptrdiff_t i = at + t;
      const __m256 x_scale = _mm256_set1_ps(x.scale[i]);
      const std::int8_t* const codes = x.codes + i * 32;
      if constexpr (kType == TensorType::Q6_K) {
        const __m256 scale2 = scales_at(block + kLayout.codes + 64, half_tile, kHalf);
        sum[t] =
            _mm256_fmadd_ps(_mm256_mul_ps(scale, x_scale),
                            dot<kType, 0, 4>(block, half_tile, codes, x.negative_half_sum[2 * i]), sum[t]);
        sum[t] = _mm256_fmadd_ps(_mm256_mul_ps(scale2, x_scale),
                                 dot<kType, 4, 8>(block, half_tile, codes, x.negative_half_sum[2 * i + 1]),
                                 sum[t]);
      } else {
        sum[t] = _mm256_fmadd_ps(_mm256_mul_ps(scale, x_scale),
                                 dot<kType, 0, 8>(block, half_tile, codes, x.negative_sum[i]), sum[t]);
      }
      if constexpr (kLayout.mins != 0) {
        const __m256 min = scales_at(block + kLayout.codes + kLayout.scales, half_tile, kHalf);
        sum[t] = _mm256_fmadd_ps(min, _mm256_set1_ps(x.scaled_sum[i]), sum[t]);
      }
    }
  }
}

template <TensorType kType>
void quantised_gemm(const GemmCall& call) {
  each_token_group<kMostTokens>(call.tokens, 0, [&]<int kTokens>(int first) {
    __m256 sum[2][kTokens] = {};
    for (int half_tile = 0; half_tile < 2; ++half_tile) {
      quantised_half<kType, kTokens>(call, first, half_tile, sum[half_tile]);
    }
    for (int t = 0; t < kTokens; ++t) {
      const __m256 halves[2] = {sum[0][t], sum[1][t]};
      put_rows(call, first + t, __builtin_bit_cast(Lanes, halves));
    }
  });
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

const Kernels kAvx2Kernels = {.set = InstructionSet::Avx2,
                              .gemm = gemm,
                              .quantise = quantise_row,
                              .rms_norm = normalise_row,
                              .silu_multiply = silu_multiply_row,
                              .rotate = rotate_head,
                              .to_half = row_to_half,
                              .attend = attend};

}  // namespace llmd::engine
