// Decoding of the quantised formats against blocks made by hand from the formats' definitions.

#include "engine/kernels/quant_block.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace llmd::engine {
namespace {

using modelfile::TensorType;

class BlockBytes {
 public:
  BlockBytes& half(float value) {
    const std::uint16_t bits = float_to_half(value);
    return raw(&bits, sizeof bits);
  }
  BlockBytes& byte(unsigned value, int times = 1) {
    bytes_.insert(bytes_.end(), static_cast<std::size_t>(times), static_cast<std::byte>(value));
    return *this;
  }
  BlockBytes& raw(const void* data, std::size_t size) {
    const auto* const from = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), from, from + size);
    return *this;
  }
  std::byte& operator[](std::size_t index) { return bytes_[index]; }

  std::vector<float> values(TensorType type) const {
    EXPECT_EQ(bytes_.size(), static_cast<std::size_t>(modelfile::block_bytes(type)));
    std::vector<float> out(static_cast<std::size_t>(modelfile::block_elements(type)));
    dequantise_row(type, bytes_.data(), out);
    return out;
  }

 private:
  std::vector<std::byte> bytes_;
};

TEST(QuantBlock, Q4_0HasLowNibblesFirstAndCentreEight) {
  auto block = BlockBytes().half(0.5F).byte(0x88, 16);
  block[2] = std::byte{0xF0};  // elements 0 and 16
  const auto values = block.values(TensorType::Q4_0);
  EXPECT_EQ(values[0], -4.0F);
  EXPECT_EQ(values[16], 3.5F);
  EXPECT_EQ(values[1], 0.0F);
}

TEST(QuantBlock, Q4_1AddsItsMinimum) {
  auto block = BlockBytes().half(0.25F).half(-1.0F).byte(0, 16);
  block[4 + 3] = std::byte{0x2F};  // elements 3 and 19
  const auto values = block.values(TensorType::Q4_1);
  EXPECT_EQ(values[3], 15 * 0.25F - 1);
  EXPECT_EQ(values[19], 2 * 0.25F - 1);
  EXPECT_EQ(values[0], -1.0F);
}

TEST(QuantBlock, Q5_0TakesFifthBitsFromItsMask) {
  const std::uint32_t mask = 1U << 0U | 1U << 31U;
  const auto values = BlockBytes().half(1).raw(&mask, 4).byte(0x21, 16).values(TensorType::Q5_0);
  EXPECT_EQ(values[0], 1.0F);     // 17 - 16
  EXPECT_EQ(values[1], -15.0F);   // 1 - 16
  EXPECT_EQ(values[31], 2.0F);    // 18 - 16
  EXPECT_EQ(values[30], -14.0F);  // 2 - 16
}

TEST(QuantBlock, Q5_1TakesFifthBitsAndAddsItsMinimum) {
  const std::uint32_t mask = 1U << 16U;
  const auto values = BlockBytes().half(2).half(10).raw(&mask, 4).byte(0x21, 16).values(TensorType::Q5_1);
  EXPECT_EQ(values[0], 12.0F);
  EXPECT_EQ(values[16], 46.0F);  // 2 * 18 + 10
}

TEST(QuantBlock, Q8_0IsSigned) {
  auto block = BlockBytes().half(0.5F).byte(0, 32);
  block[2] = static_cast<std::byte>(-128);
  block[33] = std::byte{127};
  const auto values = block.values(TensorType::Q8_0);
  EXPECT_EQ(values[0], -64.0F);
  EXPECT_EQ(values[31], 63.5F);
}

// Scales s0..s7 and mins m0..m7, packed as the K formats do.
BlockBytes k_header(const std::vector<unsigned>& scales, const std::vector<unsigned>& mins) {
  BlockBytes block;
  block.half(1).half(0.5F);
  for (std::size_t i = 0; i < 4; ++i) {
    block.byte(scales[i] | (scales[i + 4] >> 4U) << 6U);
  }
  for (std::size_t i = 0; i < 4; ++i) {
    block.byte(mins[i] | (mins[i + 4] >> 4U) << 6U);
  }
  for (std::size_t i = 4; i < 8; ++i) {
    block.byte((scales[i] & 15U) | (mins[i] & 15U) << 4U);
  }
  return block;
}
const std::vector<unsigned> kScales = {1, 2, 3, 63, 5, 17, 33, 62};
const std::vector<unsigned> kMins = {60, 7, 0, 1, 44, 16, 15, 63};

TEST(QuantBlock, Q4_KScalesEachSubBlockByItself) {
  auto block = k_header(kScales, kMins);
  for (unsigned pair = 0; pair < 4; ++pair) {
    block.byte(pair + 1 | (pair + 9) << 4U, 32);
  }
  const auto values = block.values(TensorType::Q4_K);
  for (unsigned sub = 0; sub < 8; ++sub) {
    const unsigned code = sub % 2 == 0 ? sub / 2 + 1 : sub / 2 + 9;
    const float expected = static_cast<float>(kScales[sub] * code) - 0.5F * static_cast<float>(kMins[sub]);
    EXPECT_EQ(values[sub * 32], expected) << sub;
    EXPECT_EQ(values[sub * 32 + 31], expected) << sub;
  }
}

TEST(QuantBlock, Q5_KTakesBitNOfItsMaskForSubBlockN) {
  auto block = k_header(kScales, kMins);
  block.byte(0b10101010, 32);
  for (unsigned pair = 0; pair < 4; ++pair) {
    block.byte(pair + 1 | (pair + 9) << 4U, 32);
  }
  const auto values = block.values(TensorType::Q5_K);
  for (unsigned sub = 0; sub < 8; ++sub) {
    const unsigned code = sub % 2 == 0 ? sub / 2 + 1 : sub / 2 + 9 + 16;
    EXPECT_EQ(values[sub * 32 + 5],
              static_cast<float>(kScales[sub] * code) - 0.5F * static_cast<float>(kMins[sub]));
  }
}

TEST(QuantBlock, Q6_KJoinsNibblesAndBitPairsWithAScalePer16) {
  BlockBytes block;
  block.byte(0x21, 64).byte(0x43, 64);     // low nibbles of the two halves
  block.byte(0b11100100, 32).byte(0, 32);  // bit pairs of quarters 0..3 of the first half: 0, 1, 2, 3
  for (int i = 0; i < 16; ++i) {
    block.byte(static_cast<unsigned>(i - 8) & 255U);  // signed
  }
  block.half(0.5F);
  const auto values = block.values(TensorType::Q6_K);
  const unsigned nibbles[8] = {1, 1, 2, 2, 3, 3, 4, 4};
  for (unsigned sub = 0; sub < 8; ++sub) {
    const unsigned code = nibbles[sub] + (sub < 4 ? 16 * sub : 0);
    for (unsigned part = 0; part < 2; ++part) {
      const float scale = 0.5F * static_cast<float>(static_cast<int>(sub * 2 + part) - 8);
      EXPECT_EQ(values[sub * 32 + part * 16 + 7], scale * (static_cast<float>(code) - 32))
          << sub << " " << part;
    }
  }
}

TEST(QuantBlock, BfloatIsTheUpperHalfOfAFloat) {
  const std::uint16_t bits[2] = {0x3F80, 0xC000};
  float out[2];
  dequantise_row(TensorType::BF16, reinterpret_cast<const std::byte*>(bits), out);
  EXPECT_EQ(out[0], 1.0F);
  EXPECT_EQ(out[1], -2.0F);
}

TEST(QuantBlock, HalvesRoundToNearestEven) {
  EXPECT_EQ(half_to_float(float_to_half(1.0F + 1.0F / 2048)), 1.0F);
  EXPECT_EQ(half_to_float(float_to_half(1.0F + 3.0F / 2048)), 1.0F + 4.0F / 2048);
}

}  // namespace
}  // namespace llmd::engine
