// A weight matrix as the kernels want it: tiles of 16 rows, and within a tile the 16 rows interleaved so that
// one vector register holds the same columns of all of them. Nothing is rounded: a packed weight means what
// the file's weight means.
//
// Quantised tile: for every 32 columns
//     codes    4-bit types:  256 bytes, dword (i * 16 + r) = columns 4i .. 4i+3 of row r in the low nibbles
//     and
//                            16+4i .. 16+4i+3 in the high ones (i < 4)
//              others:       512 bytes, dword (i * 16 + r) = columns 4i .. 4i+3 of row r (i < 8), unsigned
//     scales   16 halves, or 16 floats in the K formats (product of two scales), or 2 x 16 floats in Q6_K
//     mins     the same, in the types that have one
// Float tile: [column][16 rows] in the file's type.
// Rows that pad the last tile are zero.
#pragma once

#include <cstddef>

#include "engine/kernels/quant_block.h"
#include "modelfile/tensor.h"

namespace llmd::engine {

inline constexpr int kTileRows = 16;

// How one 32-column block of a tile is laid out, in bytes.
struct BlockLayout {
  int codes = 0;
  int scales = 0;
  int mins = 0;
  constexpr int bytes() const { return codes + scales + mins; }
};
constexpr BlockLayout block_layout(modelfile::TensorType type) {
  using modelfile::TensorType;
  switch (type) {
    case TensorType::Q4_0:
      return {256, 32, 0};
    case TensorType::Q4_1:
      return {256, 32, 32};
    case TensorType::Q4_K:
      return {256, 64, 64};
    case TensorType::Q5_0:
    case TensorType::Q8_0:
      return {512, 32, 0};
    case TensorType::Q5_1:
      return {512, 32, 32};
    case TensorType::Q5_K:
      return {512, 64, 64};
    case TensorType::Q6_K:
      return {512, 128, 0};
    default:
      return {};
  }
}

struct PackedMatrix {
  modelfile::TensorType type = modelfile::TensorType::F32;
  int rows = 0;
  int columns = 0;
  std::size_t tile_bytes = 0;
  std::byte* data = nullptr;  // bytes() of zeroed memory that somebody else owns

  PackedMatrix() = default;
  PackedMatrix(modelfile::TensorType stored, int row_count, int column_count);

  std::size_t bytes() const { return tile_bytes * static_cast<std::size_t>(tiles()); }
  int tiles() const { return (rows + kTileRows - 1) / kTileRows; }
  int rows_in(int tile) const { return tile + 1 < tiles() ? kTileRows : rows - tile * kTileRows; }
  const std::byte* tile(int index) const { return data + static_cast<std::size_t>(index) * tile_bytes; }
};

// Fills one tile. source[r] is the start of the file's row for tile row r, null for padding.
void pack_tile(PackedMatrix& matrix, int tile, const std::byte* const (&source)[kTileRows]);

}  // namespace llmd::engine
