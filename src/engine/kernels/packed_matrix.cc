#include "engine/kernels/packed_matrix.h"

#include <cstring>

namespace llmd::engine {
namespace {

using modelfile::TensorType;

// The 4-bit small formats already hold nibbles in the order of the tile; only the dwords of 16 rows
// interleave. The same goes for the signed bytes of Q8_0, moved to unsigned by flipping the top bit.
void copy_codes(std::byte* to, const std::byte* from, int row, int dwords, std::uint32_t flip) {
  for (int i = 0; i < dwords; ++i) {
    std::uint32_t word;
    std::memcpy(&word, from + 4L * i, sizeof word);
    word ^= flip;
    std::memcpy(to + (static_cast<std::ptrdiff_t>(i) * kTileRows + row) * 4, &word, sizeof word);
  }
}

void put_half(std::byte* to, int row, float value) {
  const std::uint16_t bits = float_to_half(value);
  std::memcpy(to + 2L * row, &bits, sizeof bits);
}

void put_float(std::byte* to, int row, float value) {
  std::memcpy(to + 4L * row, &value, sizeof value);
}

void put_codes(std::byte* to, const QuantBlock& block, int row, bool nibbles) {
  for (int k = 0; k < kQuantBlock; ++k) {
    const int folded = nibbles ? k % 16 : k;
    std::byte& target = to[(static_cast<std::ptrdiff_t>(folded / 4) * kTileRows + row) * 4 + folded % 4];
    const auto code = static_cast<std::byte>(block.code[k]);
    target = nibbles && k >= 16 ? target | code << 4 : code;
  }
}

void pack_decoded(std::byte* to, TensorType type, const BlockLayout& layout, const QuantBlock& block,
                  int row) {
  put_codes(to, block, row, layout.codes == 256);
  std::byte* const scales = to + layout.codes;
  std::byte* const mins = scales + layout.scales;
  if (layout.scales == 2 * kTileRows) {
    put_half(scales, row, block.scale[0]);
    if (layout.mins != 0) {
      put_half(mins, row, block.min);
    }
    return;
  }
  put_float(scales, row, block.scale[0]);
  if (type == TensorType::Q6_K) {
    put_float(scales, row + kTileRows, block.scale[1]);
  }
  if (layout.mins != 0) {
    put_float(mins, row, block.min);
  }
}

void pack_quantised_row(PackedMatrix& matrix, std::byte* to, const std::byte* source, int row) {
  const BlockLayout layout = block_layout(matrix.type);
  const int stored = modelfile::block_bytes(matrix.type);
  for (int index = 0; index < matrix.columns / kQuantBlock; ++index, to += layout.bytes()) {
    const std::byte* const from = source + static_cast<std::ptrdiff_t>(index) * stored;
    std::byte* const scales = to + layout.codes;
    switch (matrix.type) {
      case TensorType::Q4_0:
        copy_codes(to, from + 2, row, 4, 0);
        std::memcpy(scales + 2L * row, from, 2);
        break;
      case TensorType::Q4_1:
        copy_codes(to, from + 4, row, 4, 0);
        std::memcpy(scales + 2L * row, from, 2);
        std::memcpy(scales + layout.scales + 2L * row, from + 2, 2);
        break;
      case TensorType::Q8_0:
        copy_codes(to, from + 2, row, 8, 0x80808080U);
        std::memcpy(scales + 2L * row, from, 2);
        break;
      default:
        pack_decoded(to, matrix.type, layout, decode_block(matrix.type, source, index), row);
    }
  }
}

void pack_float_row(const PackedMatrix& matrix, std::byte* to, const std::byte* source, int row) {
  const auto size = static_cast<std::size_t>(modelfile::block_bytes(matrix.type));
  for (std::size_t column = 0; column < static_cast<std::size_t>(matrix.columns); ++column) {
    std::memcpy(to + (column * kTileRows + static_cast<std::size_t>(row)) * size, source + column * size,
                size);
  }
}

}  // namespace

PackedMatrix::PackedMatrix(TensorType stored, int row_count, int column_count)
    : type(stored), rows(row_count), columns(column_count) {
  tile_bytes = is_quantised(type) ? static_cast<std::size_t>(columns / kQuantBlock) *
                                        static_cast<std::size_t>(block_layout(type).bytes())
                                  : static_cast<std::size_t>(columns) * kTileRows *
                                        static_cast<std::size_t>(modelfile::block_bytes(type));
}

void pack_tile(PackedMatrix& matrix, int tile, const std::byte* const (&source)[kTileRows]) {
  std::byte* const to = matrix.data + static_cast<std::size_t>(tile) * matrix.tile_bytes;
  for (int row = 0; row < kTileRows; ++row) {
    if (source[row] == nullptr) {
      continue;
    }
    if (is_quantised(matrix.type)) {
      pack_quantised_row(matrix, to, source[row], row);
    } else {
      pack_float_row(matrix, to, source[row], row);
    }
  }
}

}  // namespace llmd::engine
