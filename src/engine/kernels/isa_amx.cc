// AMX: quantised products by tdpbf16ps, which multiplies 16 tokens with 16 weight rows, 32 columns deep.
// Codes of weights and of activations are small integers: they fit into bfloats, and every product and every
// sum of 32 of them is exact in a float. So one block of columns at a time is multiplied, and the sums are
// scaled by the float operations of the other sets, in their order: the bits are the same. (The integer
// instruction tdpbssd is as fast, but its sums would have to be converted to floats, which takes longer than
// that.)
//
// Weights are spread to bfloats once for all tokens of a call. Worth it from some tokens on; fewer, and
// products with float weights, go to the AVX-512 kernels.

#include <immintrin.h>

#include "engine/kernels/kernels.h"
#include "engine/kernels/lanes.h"
#include "engine/kernels/packed_matrix.h"

namespace llmd::engine {
namespace {

using modelfile::TensorType;

constexpr int kTileTokens = 16;
constexpr int kLeastTokens = 9;   // below, spreading the weights does not pay
constexpr int kPanelBlocks = 18;  // a panel and a tile of tokens fit into the first cache
constexpr int kStripTokens = 256;
constexpr int kLine = 64;

// What one instruction multiplies: 32 columns, or 16 where they have scales of their own.
constexpr int parts_per_block(TensorType type) {
  return type == TensorType::Q6_K ? 2 : 1;
}

// Some blocks of one weight tile, ready to multiply: [16 pairs of columns][16 rows][2]. Pairs are columns
// (0, 2), (1, 3), (4, 6), (5, 7) ..: see QuantRows::wide.
struct Panel {
  alignas(kLine) std::uint16_t codes[kPanelBlocks][16][32];
  __m512 scale[kPanelBlocks * 2];  // per part
  __m512 min[kPanelBlocks];
};

// The layout that ldtilecfg reads.
struct alignas(kLine) TileShapes {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

// Registers 0 to 3 hold sums, 4 and 5 tokens, 6 and 7 weights.
constexpr int kSumTiles = 4;
LLMD_INLINE TileShapes tile_shapes(int depth) {
  TileShapes shapes;
  for (int i = 0; i < 8; ++i) {
    const bool tokens = i == 4 || i == 5;
    shapes.row_bytes[i] = static_cast<std::uint16_t>(tokens ? 2 * depth : kLine);
    shapes.rows[i] = static_cast<std::uint8_t>(i < 6 ? kTileTokens : depth / 2);
  }
  return shapes;
}

LLMD_INLINE __m512 scales_at(const std::byte* from, bool half) {
  return half ? _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)))
              : _mm512_loadu_ps(reinterpret_cast<const float*>(from));
}

// By the low five bits of a code; with four-bit codes, the fifth says nothing.
struct BfloatTable {
  alignas(kLine) std::uint16_t values[32];
};
constexpr BfloatTable bfloat_table(int zero, int codes) {
  BfloatTable table{};
  for (int i = 0; i < 32; ++i) {
    const auto value = static_cast<float>(i % codes - zero);
    table.values[i] = static_cast<std::uint16_t>(__builtin_bit_cast(std::uint32_t, value) >> 16U);
  }
  return table;
}

// The bfloats of code - zero for 16-bit codes, of which the low bits count.
template <TensorType kType>
LLMD_INLINE __m512i bfloats(__m512i codes) {
  constexpr int kZero = code_zero(kType);
  if constexpr (kZero >= 32) {  // six and eight bits
    const __m512i zero = _mm512_set1_epi32(kZero);
    const __m512i low = _mm512_and_si512(codes, _mm512_set1_epi32(0xff));
    const __m512i high = _mm512_and_si512(_mm512_srli_epi32(codes, 16), _mm512_set1_epi32(0xff));
    const __m512i first = _mm512_castps_si512(_mm512_cvtepi32_ps(_mm512_sub_epi32(low, zero)));
    const __m512i second = _mm512_castps_si512(_mm512_cvtepi32_ps(_mm512_sub_epi32(high, zero)));
    return _mm512_mask_mov_epi16(second, 0x55555555U, _mm512_srli_epi32(first, 16));
  }
  static constexpr BfloatTable kTable = bfloat_table(kZero, block_layout(kType).codes == 256 ? 16 : 32);
  return _mm512_permutexvar_epi16(codes, _mm512_load_si512(kTable.values));
}

template <TensorType kType>
LLMD_INLINE void spread_codes(const std::byte* block, std::uint16_t (&to)[16][32]) {
  constexpr bool kNibbles = block_layout(kType).codes == 256;
  for (int i = 0; i < (kNibbles ? 4 : 8); ++i) {
    const __m512i stored = _mm512_loadu_si512(block + i * kLine);
    _mm512_store_si512(to[2 * i], bfloats<kType>(stored));
    _mm512_store_si512(to[2 * i + 1], bfloats<kType>(_mm512_srli_epi16(stored, 8)));
    if constexpr (kNibbles) {
      _mm512_store_si512(to[8 + 2 * i], bfloats<kType>(_mm512_srli_epi16(stored, 4)));
      _mm512_store_si512(to[9 + 2 * i], bfloats<kType>(_mm512_srli_epi16(stored, 12)));
    }
  }
}

template <TensorType kType>
LLMD_INLINE void spread(const std::byte* block, int count, Panel& panel) {
  constexpr BlockLayout kLayout = block_layout(kType);
  constexpr bool kHalf = kLayout.scales == 32;
  constexpr int kParts = parts_per_block(kType);
  for (int b = 0; b < count; ++b, block += kLayout.bytes()) {
    spread_codes<kType>(block, panel.codes[b]);
    const std::byte* const scales = block + kLayout.codes;
    for (int part = 0; part < kParts; ++part) {
      panel.scale[b * kParts + part] = scales_at(scales + part * kLine, kHalf);
    }
    if constexpr (kLayout.mins != 0) {
      panel.min[b] = scales_at(scales + kLayout.scales, kHalf);
    }
  }
}

// The products of a panel with a tile of tokens. They go through memory; from the first load of a part to its
// sums takes over a hundred cycles, so parts overlap: each of four registers is stored just before its next
// use, and scaled (the caller's business) some parts later.
template <TensorType kType>
class PanelProduct {
 public:
  static constexpr int kParts = parts_per_block(kType);
  static constexpr int kLag = 6;

  // `at`: the first token's place (QuantRows::at) in the panel's first block.
  LLMD_INLINE PanelProduct(const QuantRows& x, std::ptrdiff_t at, const Panel& panel, int blocks)
      : wide_(x.wide + at * 32), panel_(panel), parts_(blocks * kParts) {}

  // Call with part = 0, 1, 2 ..: after step(part), products(part - kLag) are there.
  LLMD_INLINE void step(int part) {
    switch (part % kSumTiles) {
      case 0:
        return step_of<0>(part);
      case 1:
        return step_of<1>(part);
      case 2:
        return step_of<2>(part);
      default:
        return step_of<3>(part);
    }
  }
  LLMD_INLINE __m512* products(int part) { return products_[part % (2 * kSumTiles)]; }

 private:
  template <int kTile>
  LLMD_INLINE void step_of(int part) {
    constexpr int kTokens = 4 + kTile % 2;
    constexpr int kWeights = 6 + kTile % 2;
    if (part >= kSumTiles && part < parts_ + kSumTiles) {
      _tile_stored(kTile, products(part - kSumTiles), kLine);
    }
    if (part < parts_) {
      const std::ptrdiff_t block = part / kParts;
      const std::ptrdiff_t half = part % kParts;
      _tile_loadd(kTokens, wide_ + block * kQuantRowGroup * 32 + half * 16, kLine);
      _tile_loadd(kWeights, panel_.codes[block][half * 8], kLine);
      _tile_zero(kTile);
      _tile_dpbf16ps(kTile, kTokens, kWeights);
    }
  }

  const std::uint16_t* const wide_;
  const Panel& panel_;
  const int parts_;
  __m512 products_[2 * kSumTiles][kTileTokens];
};

// Adds the panel's products to the sums of a tile of tokens.
template <TensorType kType>
LLMD_INLINE void add_panel(const QuantRows& x, std::ptrdiff_t at, const Panel& panel, int blocks,
                           __m512 (&sum)[kTileTokens]) {
  using Product = PanelProduct<kType>;
  Product product(x, at, panel, blocks);
  for (int ahead = 0; ahead < Product::kLag; ++ahead) {
    product.step(ahead);
  }
  for (int part = 0; part < blocks * Product::kParts; ++part) {
    const std::ptrdiff_t here = at + static_cast<std::ptrdiff_t>(part) / Product::kParts * kQuantRowGroup;
    const float* const x_scale = x.scale + here;
    const float* const scaled_sum = x.scaled_sum + here;
    product.step(part + Product::kLag);
    const __m512 scale = panel.scale[part];
    const __m512* const products = product.products(part);
    for (int t = 0; t < kTileTokens; ++t) {
      const __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(x_scale[t]));
      sum[t] = _mm512_fmadd_ps(both, products[t], sum[t]);
      if constexpr (block_layout(kType).mins != 0) {
        sum[t] = _mm512_fmadd_ps(panel.min[part], _mm512_set1_ps(scaled_sum[t]), sum[t]);
      }
    }
  }
}

// The weights of the next tile, a share of them with each tile of tokens: reading them from memory or the
// last cache takes as long as computing.
LLMD_INLINE void prefetch_share(const std::byte* from, std::size_t bytes, int share, int shares) {
  const int lines = static_cast<int>(bytes / kLine);
  for (int line = lines * share / shares; line < lines * (share + 1) / shares; ++line) {
    __builtin_prefetch(from + static_cast<std::ptrdiff_t>(line) * kLine, 0, 2);
  }
}

LLMD_INLINE void put_token(const GemmCall& call, int token, __m512 value) {
  const auto valid = static_cast<__mmask16>((1U << static_cast<unsigned>(call.rows)) - 1U);
  float* const out = call.out + token * call.out_stride;
  _mm512_mask_storeu_ps(out, valid,
                        call.accumulate ? _mm512_add_ps(_mm512_maskz_loadu_ps(valid, out), value) : value);
}

// One weight tile with at most kStripTokens tokens from `first` on. Rows of activations beyond the last token
// are multiplied too: their group has memory, and nobody looks at the result.
template <TensorType kType>
LLMD_INLINE void multiply_strip(const GemmCall& call, int first, int count) {
  const QuantRows& x = call.quantised;
  constexpr int kBlockBytes = block_layout(kType).bytes();
  const int panels = (x.blocks + kPanelBlocks - 1) / kPanelBlocks;
  const int token_tiles = (count + kTileTokens - 1) / kTileTokens;
  Panel panel;
  __m512 sums[kStripTokens / kTileTokens][kTileTokens];
  for (int p = 0; p < panels; ++p) {
    const int block = x.blocks * p / panels;
    const int blocks = x.blocks * (p + 1) / panels - block;
    spread<kType>(call.tile + static_cast<std::ptrdiff_t>(block) * kBlockBytes, blocks, panel);
    for (int tile = 0; tile < token_tiles; ++tile) {
      if (p == 0) {
        prefetch_share(call.tile + call.tile_bytes, call.tile_bytes, tile, token_tiles);
      }
      __m512 sum[kTileTokens];
      for (int t = 0; t < kTileTokens; ++t) {
        sum[t] = p == 0 ? _mm512_setzero_ps() : sums[tile][t];
      }
      add_panel<kType>(x, x.at(first + tile * kTileTokens, block), panel, blocks, sum);
      if (p + 1 < panels) {
        for (int t = 0; t < kTileTokens; ++t) {
          sums[tile][t] = sum[t];
        }
        continue;
      }
      const int left = count - tile * kTileTokens;
      for (int t = 0; t < kTileTokens && t < left; ++t) {
        put_token(call, first + tile * kTileTokens + t, sum[t]);
      }
    }
  }
}

// The tiles' shapes are set and released once per call, which costs about a microsecond: a thread that holds
// none costs the kernel nothing when it switches.
template <TensorType kType>
void quantised_gemm(GemmCall call) {
  const TileShapes shapes = tile_shapes(32 / parts_per_block(kType));
  _tile_loadconfig(&shapes);
  const int rows = call.rows;
  for (int row = 0; row < rows; row += kTileRows) {
    call.rows = rows - row < kTileRows ? rows - row : kTileRows;
    for (int first = 0; first < call.tokens; first += kStripTokens) {
      const int left = call.tokens - first;
      multiply_strip<kType>(call, first, left < kStripTokens ? left : kStripTokens);
    }
    call.tile += call.tile_bytes;
    call.out += kTileRows;
  }
  _tile_release();
}

}  // namespace

void amx_gemm(const GemmCall& call) {
  if (call.tokens < kLeastTokens || call.quantised.wide == nullptr) {
    return kAvx512Kernels.gemm(call);
  }
  switch (call.type) {
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
    default:
      return kAvx512Kernels.gemm(call);
  }
}

}  // namespace llmd::engine
