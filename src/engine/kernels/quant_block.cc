#include "engine/kernels/quant_block.h"

#include <bit>
#include <cstring>

namespace llmd::engine {
namespace {

using modelfile::TensorType;

template <typename T>
T read(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

float read_half(const std::byte* from) {
  return half_to_float(read<std::uint16_t>(from));
}

unsigned byte_at(const std::byte* from, int index) {
  return std::to_integer<unsigned>(from[index]);
}

void set_scale(QuantBlock& block, float scale) {
  block.scale[0] = block.scale[1] = scale;
}

// Sixteen bytes whose low nibbles are the first half and whose high nibbles are the second.
void take_nibbles(QuantBlock& block, const std::byte* nibbles) {
  for (int i = 0; i < 16; ++i) {
    block.code[i] = static_cast<std::uint8_t>(byte_at(nibbles, i) & 15U);
    block.code[i + 16] = static_cast<std::uint8_t>(byte_at(nibbles, i) >> 4U);
  }
}

void add_fifth_bits(QuantBlock& block, std::uint32_t bits) {
  for (unsigned i = 0; i < kQuantBlock; ++i) {
    block.code[i] = static_cast<std::uint8_t>(block.code[i] | ((bits >> i) & 1U) << 4U);
  }
}

QuantBlock decode_small(TensorType type, const std::byte* from) {
  QuantBlock block{};
  set_scale(block, read_half(from));
  switch (type) {
    case TensorType::Q4_0:
      take_nibbles(block, from + 2);
      break;
    case TensorType::Q4_1:
      block.min = read_half(from + 2);
      take_nibbles(block, from + 4);
      break;
    case TensorType::Q5_0:
      take_nibbles(block, from + 6);
      add_fifth_bits(block, read<std::uint32_t>(from + 2));
      break;
    case TensorType::Q5_1:
      block.min = read_half(from + 2);
      take_nibbles(block, from + 8);
      add_fifth_bits(block, read<std::uint32_t>(from + 4));
      break;
    default:  // Q8_0: signed bytes
      for (int i = 0; i < kQuantBlock; ++i) {
        block.code[i] = static_cast<std::uint8_t>(byte_at(from + 2, i) ^ 0x80U);
      }
  }
  return block;
}

// Q4_K and Q5_K pack eight 6-bit scales and eight 6-bit mins into twelve bytes: the first four of each stand
// whole in bytes 0-3 and 4-7; of the others the low four bits stand in bytes 8-11 and the high two on top of
// the first ones.
struct SubScales {
  unsigned scale;
  unsigned min;
};
SubScales sub_scales(const std::byte* packed, int sub) {
  if (sub < 4) {
    return {byte_at(packed, sub) & 63U, byte_at(packed, sub + 4) & 63U};
  }
  const unsigned low = byte_at(packed, sub + 4);
  return {(low & 15U) | (byte_at(packed, sub - 4) >> 6U) << 4U, low >> 4U | (byte_at(packed, sub) >> 6U)
                                                                                << 4U};
}

// Two neighbouring sub-blocks share 32 bytes: the first has the low nibbles.
QuantBlock decode_k45(TensorType type, const std::byte* super, int sub) {
  QuantBlock block{};
  const auto packed = sub_scales(super + 4, sub);
  set_scale(block, read_half(super) * static_cast<float>(packed.scale));
  block.min = -(read_half(super + 2) * static_cast<float>(packed.min));
  const bool five = type == TensorType::Q5_K;
  const std::byte* const high = super + 16;
  const std::byte* const nibbles = super + (five ? 48 : 16) + sub / 2 * 32;
  const unsigned shift = sub % 2 == 0 ? 0 : 4;
  for (int i = 0; i < kQuantBlock; ++i) {
    unsigned code = byte_at(nibbles, i) >> shift & 15U;
    if (five) {
      code |= (byte_at(high, i) >> static_cast<unsigned>(sub) & 1U) << 4U;
    }
    block.code[i] = static_cast<std::uint8_t>(code);
  }
  return block;
}

// Q6_K: 128 low nibbles bytes, 64 bytes of upper bit pairs, 16 signed scales, one half. Each half of 128
// weights uses 64 + 32 of them; quarter q of it takes nibble q / 2 of bytes (q % 2) * 32 .. and bit pair q.
QuantBlock decode_k6(const std::byte* super, int sub) {
  QuantBlock block{};
  const int half = sub / 4;
  const int quarter = sub % 4;
  const std::byte* const low = super + half * 64 + quarter % 2 * 32;
  const std::byte* const high = super + 128 + half * 32;
  const unsigned low_shift = quarter < 2 ? 0 : 4;
  const auto high_shift = static_cast<unsigned>(2 * quarter);
  for (int i = 0; i < kQuantBlock; ++i) {
    const unsigned code = (byte_at(low, i) >> low_shift & 15U) | (byte_at(high, i) >> high_shift & 3U) << 4U;
    block.code[i] = static_cast<std::uint8_t>(code);
  }
  const float scale = read_half(super + 208);
  for (int i = 0; i < 2; ++i) {
    block.scale[i] = scale * static_cast<float>(read<std::int8_t>(super + 192 + sub * 2 + i));
  }
  return block;
}

}  // namespace

bool is_quantised(TensorType type) {
  return modelfile::block_elements(type) > 1;
}

QuantBlock decode_block(TensorType type, const std::byte* row, int index) {
  const int per_block = modelfile::block_elements(type) / kQuantBlock;  // 1, or 8 in the K formats
  const std::byte* const from =
      row + static_cast<std::ptrdiff_t>(index / per_block) * modelfile::block_bytes(type);
  switch (type) {
    case TensorType::Q4_K:
    case TensorType::Q5_K:
      return decode_k45(type, from, index % per_block);
    case TensorType::Q6_K:
      return decode_k6(from, index % per_block);
    default:
      return decode_small(type, from);
  }
}

void dequantise_row(TensorType type, const std::byte* row, std::span<float> out) {
  const int count = static_cast<int>(out.size());
  float* const to = out.data();
  switch (type) {
    case TensorType::F32:
      std::memcpy(to, row, out.size_bytes());
      return;
    case TensorType::F16:
      for (int i = 0; i < count; ++i) {
        to[i] = read_half(row + 2L * i);
      }
      return;
    case TensorType::BF16:
      for (int i = 0; i < count; ++i) {
        to[i] = bfloat_to_float(read<std::uint16_t>(row + 2L * i));
      }
      return;
    default:
      break;
  }
  const int zero = code_zero(type);
  for (int index = 0; index < count / kQuantBlock; ++index) {
    const QuantBlock block = decode_block(type, row, index);
    for (int i = 0; i < kQuantBlock; ++i) {
      to[index * kQuantBlock + i] =
          block.scale[i / 16] * static_cast<float>(block.code[i] - zero) + block.min;
    }
  }
}

float half_to_float(std::uint16_t bits) {
  return static_cast<float>(std::bit_cast<_Float16>(bits));
}
std::uint16_t float_to_half(float value) {
  return std::bit_cast<std::uint16_t>(static_cast<_Float16>(value));
}
float bfloat_to_float(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
}

}  // namespace llmd::engine
