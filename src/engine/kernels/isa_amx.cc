// AMX: quantised products by tdpbf16ps, which multiplies 16 tokens with 16 weight rows, 32 columns deep.
// Codes of weights and of activations are small integers: they fit into bfloats, and every product and every
// sum of 32 of them is exact in a float. So one block of columns at a time is multiplied, and the sums are
// scaled by the float operations of the other sets, in their order: the bits are the same. (The integer
// instruction tdpbssd is as fast, but its sums would have to be converted to floats, which takes longer than
// that.)
//
// Weights are spread to bfloats once for all tokens of a call. Worth it from some tokens on; fewer, and
// products with float weights, go to the AVX-512 kernels.
//
// While tile instructions are in flight, a core was seen to start one vector multiplication per cycle instead
// of two (Xeon, family 6 model 143). So scaling, three per token and block, sets the pace: about 60 cycles
// per product if everything is in the first cache.

#include <immintrin.h>

#include "engine/kernels/block_types.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/lanes.h"
#include "engine/kernels/packed_matrix.h"

namespace llmd::engine {
namespace {

using modelfile::TensorType;

constexpr int kTileTokens = 16;
constexpr int kLeastTokens = 13;  // below, spreading the weights costs more than it saves
constexpr int kPanelBlocks =
    9;  // a panel, tokens and products leave half of the first cache to the stream of tokens
constexpr int kStripTokens = 64;  // stay in the second cache while all weight tiles of a call pass by
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

// The products of a panel with some tiles of tokens, in the order they are scaled in: all parts of the first
// tile, all of the second ... They go through memory, and from the first load of a product to its last sum
// take over a hundred cycles. So products overlap, also those of different tiles: each is stored some steps
// after it was started and scaled (the caller's business) some steps after that.
template <TensorType kType>
class PanelProducts {
 public:
  static constexpr int kParts = parts_per_block(kType);
  static constexpr int kStoreLag = 2;
  static constexpr int kLag = 4;
  static constexpr int kSlots = 4;
  using Slots = __m512[kSlots][kTileTokens];

  // `at`: the first token's place (QuantRows::at) in the panel's first block.
  LLMD_INLINE PanelProducts(const QuantRows& x, std::ptrdiff_t at, const Panel& panel, int blocks, int tiles,
                            Slots& slots)
      : tokens_(x.wide + at * 32),
        tile_step_(static_cast<std::ptrdiff_t>(x.blocks - blocks) * kQuantRowGroup * 32),
        panel_(panel),
        parts_(blocks * kParts),
        all_(parts_ * tiles),
        slots_(slots) {}

  // After n + kLag + 1 calls, product(n) is there.
  LLMD_INLINE void step() {
    switch (step_ % kSumTiles) {
      case 0:
        step_of<0>();
        break;
      case 1:
        step_of<1>();
        break;
      case 2:
        step_of<2>();
        break;
      default:
        step_of<3>();
    }
    ++step_;
  }
  LLMD_INLINE const __m512* product(int index) const { return slots_[index % kSlots]; }

 private:
  template <int kTile>
  LLMD_INLINE void step_of() {
    constexpr int kTokens = 4 + kTile % 2;
    constexpr int kWeights = 6 + kTile % 2;
    constexpr int kDone = (kTile + kSumTiles - kStoreLag) % kSumTiles;
    if (step_ < all_) {
      const std::ptrdiff_t block = part_ / kParts;
      const std::ptrdiff_t half = part_ % kParts;
      _tile_loadd(kTokens, tokens_ + half * 16, kLine);
      _tile_loadd(kWeights, panel_.codes[block][half * 8], kLine);
      _tile_zero(kTile);
      _tile_dpbf16ps(kTile, kTokens, kWeights);
      if (half + 1 == kParts) {
        tokens_ += kQuantRowGroup * 32;
      }
      if (++part_ == parts_) {
        part_ = 0;
        tokens_ += tile_step_;
      }
    }
    if (step_ >= kStoreLag && step_ < all_ + kStoreLag) {
      _tile_stored(kDone, slots_[(step_ - kStoreLag) % kSlots], kLine);
    }
  }

  const std::uint16_t* tokens_;  // of the next product
  const std::ptrdiff_t tile_step_;
  const Panel& panel_;
  const int parts_;
  const int all_;
  Slots& slots_;
  int part_ = 0;
  int step_ = 0;
};

// Fetches the weights of the next tile, a few lines with each product: reading them from memory or the last
// cache takes as long as computing, and more at once would keep tokens from being read.
class Prefetch {
 public:
  LLMD_INLINE Prefetch(const std::byte* from, std::size_t bytes, int products)
      : next_(from),
        end_(from + bytes),
        lines_((static_cast<int>(bytes) / kLine + products - 1) / products) {}

  LLMD_INLINE void step() {
    for (int i = 0; i < lines_ && next_ < end_; ++i, next_ += kLine) {
      __builtin_prefetch(next_, 0, 2);
    }
  }

 private:
  const std::byte* next_;
  const std::byte* const end_;
  const int lines_;
};

// Adds the panel's products with one tile of tokens, the next that `products` gives, to the tile's sums.
template <TensorType kType>
LLMD_INLINE void add_panel(const QuantRows& x, std::ptrdiff_t at, const Panel& panel, int blocks,
                           PanelProducts<kType>& products, int& next, Prefetch& prefetch,
                           __m512 (&sums)[kTileTokens]) {
  constexpr int kParts = parts_per_block(kType);
  __m512 sum[kTileTokens];  // in registers, unlike the caller's
#pragma clang loop unroll(full)
  for (int t = 0; t < kTileTokens; ++t) {
    sum[t] = sums[t];
  }
  for (int part = 0; part < blocks * kParts; ++part) {
    const std::ptrdiff_t here = at + static_cast<std::ptrdiff_t>(part) / kParts * kQuantRowGroup;
    const float* const x_scale = x.scale + here;
    const float* const scaled_sum = x.scaled_sum + here;
    products.step();
    prefetch.step();
    const __m512 scale = panel.scale[part];
    const __m512* const product = products.product(next++);
    for (int t = 0; t < kTileTokens; ++t) {
      const __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(x_scale[t]));
      sum[t] = _mm512_fmadd_ps(both, product[t], sum[t]);
      if constexpr (block_layout(kType).mins != 0) {
        sum[t] = _mm512_fmadd_ps(panel.min[part], _mm512_set1_ps(scaled_sum[t]), sum[t]);
      }
    }
  }
#pragma clang loop unroll(full)
  for (int t = 0; t < kTileTokens; ++t) {
    sums[t] = sum[t];
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
  using Products = PanelProducts<kType>;
  const QuantRows& x = call.quantised;
  constexpr int kBlockBytes = block_layout(kType).bytes();
  const int panels = (x.blocks + kPanelBlocks - 1) / kPanelBlocks;
  const int token_tiles = (count + kTileTokens - 1) / kTileTokens;
  Panel panel;
  __m512 sums[kStripTokens / kTileTokens][kTileTokens];
  typename Products::Slots slots;
  Prefetch prefetch(call.tile + call.tile_bytes, call.tile_bytes, token_tiles * x.blocks * Products::kParts);
  for (int p = 0; p < panels; ++p) {
    const int block = x.blocks * p / panels;
    const int blocks = x.blocks * (p + 1) / panels - block;
    spread<kType>(call.tile + static_cast<std::ptrdiff_t>(block) * kBlockBytes, blocks, panel);
    Products products(x, x.at(first, block), panel, blocks, token_tiles, slots);
    for (int ahead = 0; ahead < Products::kLag; ++ahead) {
      products.step();
    }
    int next = 0;
    for (int tile = 0; tile < token_tiles; ++tile) {
      if (p == 0) {
        for (__m512& sum : sums[tile]) {
          sum = _mm512_setzero_ps();
        }
      }
      add_panel<kType>(x, x.at(first + tile * kTileTokens, block), panel, blocks, products, next, prefetch,
                       sums[tile]);
      const int left = p + 1 < panels ? 0 : count - tile * kTileTokens;
      for (int t = 0; t < kTileTokens && t < left; ++t) {
        put_token(call, first + tile * kTileTokens + t, sums[tile][t]);
      }
    }
  }
}

// The tiles' shapes are set and released once per call, which costs about a microsecond: a thread that holds
// none costs the kernel nothing when it switches.
template <TensorType kType>
void quantised_gemm(const GemmCall& call) {
  const TileShapes shapes = tile_shapes(32 / parts_per_block(kType));
  _tile_loadconfig(&shapes);
  for (int first = 0; first < call.tokens; first += kStripTokens) {
    const int left = call.tokens - first;
    GemmCall tile = call;
    for (int row = 0; row < call.rows; row += kTileRows) {
      tile.rows = call.rows - row < kTileRows ? call.rows - row : kTileRows;
      multiply_strip<kType>(tile, first, left < kStripTokens ? left : kStripTokens);
      tile.tile += call.tile_bytes;
      tile.out += kTileRows;
    }
  }
  _tile_release();
}

}  // namespace

void amx_gemm(const GemmCall& call) {
  const bool worthwhile = call.tokens >= kLeastTokens && call.quantised.wide != nullptr;
  const bool done =
      worthwhile && with_block_type(call.type, [&]<TensorType kType>() { quantised_gemm<kType>(call); });
  if (!done) {
    kAvx512Kernels.gemm(call);
  }
}

}  // namespace llmd::engine
