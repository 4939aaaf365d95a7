// Every instruction set against the scalar oracle, bit by bit, and the oracle against plain arithmetic.

#include "engine/kernels/kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "engine/kernels/aligned_buffer.h"
#include "engine/kernels/packed_matrix.h"

namespace llmd::engine {
namespace {

using modelfile::TensorType;

constexpr TensorType kAllTypes[] = {TensorType::F32,  TensorType::F16,  TensorType::BF16, TensorType::Q4_0,
                                    TensorType::Q4_1, TensorType::Q5_0, TensorType::Q5_1, TensorType::Q8_0,
                                    TensorType::Q4_K, TensorType::Q5_K, TensorType::Q6_K};

std::vector<const Kernels*> vector_sets() {
  std::vector<const Kernels*> sets;
  for (const auto set : {InstructionSet::Avx2, InstructionSet::Avx512, InstructionSet::Amx}) {
    if (supported(set)) {
      sets.push_back(&kernels_for(set));
    }
  }
  return sets;
}

std::vector<float> random_floats(std::mt19937& random, std::size_t count, float deviation = 1) {
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> values(count);
  for (float& value : values) {
    value = normal(random);
  }
  return values;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// A matrix of random bytes that make sane numbers, in the file's layout and packed.
struct Matrix {
  std::vector<std::byte> stored;
  AlignedBuffer memory;
  PackedMatrix packed;
  std::size_t row_bytes = 0;

  Matrix(std::mt19937& random, TensorType type, int rows, int columns) : packed(type, rows, columns) {
    const auto block = static_cast<std::size_t>(modelfile::block_bytes(type));
    row_bytes = static_cast<std::size_t>(columns / modelfile::block_elements(type)) * block;
    stored.resize(row_bytes * static_cast<std::size_t>(rows));
    for (std::byte& byte : stored) {
      byte = static_cast<std::byte>(random());
    }
    for (std::size_t at = 0; at < stored.size(); at += block) {
      make_sane(random, type, stored.data() + at);
    }
    memory = AlignedBuffer(packed.bytes());
    packed.data = memory.data();
    for (int tile = 0; tile < packed.tiles(); ++tile) {
      const std::byte* sources[kTileRows] = {};
      for (int r = 0; r < packed.rows_in(tile); ++r) {
        sources[r] = row(tile * kTileRows + r);
      }
      pack_tile(packed, tile, sources);
    }
  }

  const std::byte* row(int index) const {
    return stored.data() + static_cast<std::size_t>(index) * row_bytes;
  }

  static void make_sane(std::mt19937& random, TensorType type, std::byte* block) {
    const float value = std::uniform_real_distribution<float>(-1, 1)(random);
    const std::uint16_t half = float_to_half(value / 16);
    switch (type) {
      case TensorType::F32:
        std::memcpy(block, &value, 4);
        break;
      case TensorType::BF16:
        std::memcpy(block, reinterpret_cast<const char*>(&value) + 2, 2);
        break;
      case TensorType::Q6_K:
        std::memcpy(block + 208, &half, 2);
        break;
      case TensorType::Q4_1:
      case TensorType::Q5_1:
      case TensorType::Q4_K:
      case TensorType::Q5_K:
        std::memcpy(block + 2, &half, 2);
        [[fallthrough]];
      default:
        std::memcpy(block, &half, 2);
    }
  }
};

// Activations quantised by the oracle.
struct Activations {
  std::vector<float> x;
  int columns;
  int tokens;
  AlignedBuffer memory;
  QuantRows rows;

  // What the quantised value means.
  double decoded(int token, int column) const {
    const std::ptrdiff_t at = rows.at(token, column / 32);
    return static_cast<double>(rows.scale[at]) * rows.codes[at * 32 + column % 32];
  }

  Activations(std::mt19937& random, int column_count, int token_count)
      : columns(column_count), tokens(token_count) {
    const int width = (columns + 31) / 32 * 32;
    // Whole groups of rows.
    const auto blocks = static_cast<std::size_t>(
        width / 32 * ((tokens + kQuantRowGroup - 1) / kQuantRowGroup * kQuantRowGroup));
    memory = AlignedBuffer(blocks * (32 + 5 * 4 + 64));
    rows.blocks = width / 32;
    rows.codes = memory.as<std::int8_t>();
    rows.scale = reinterpret_cast<float*>(memory.data() + blocks * 32);
    rows.scaled_sum = rows.scale + blocks;
    rows.negative_sum = reinterpret_cast<std::int32_t*>(rows.scaled_sum + blocks);
    rows.negative_half_sum = rows.negative_sum + blocks;
    rows.wide = reinterpret_cast<std::uint16_t*>(rows.negative_half_sum + 2 * blocks);
    x.resize(static_cast<std::size_t>(width * tokens));
    for (int t = 0; t < tokens; ++t) {
      const auto values = random_floats(random, static_cast<std::size_t>(columns));
      std::copy(values.begin(), values.end(), x.begin() + t * width);
      kScalarKernels.quantise(x.data() + static_cast<std::ptrdiff_t>(t) * width, rows, t);
    }
  }
};

std::vector<float> multiply(const Kernels& kernels, const Matrix& matrix, const Activations& in,
                            bool accumulate) {
  const int rows = matrix.packed.rows;
  std::vector<float> out(static_cast<std::size_t>(rows * in.tokens), 0.25F);
  kernels.gemm({.type = matrix.packed.type,
                .tile = matrix.packed.data,
                .tile_bytes = matrix.packed.tile_bytes,
                .rows = rows,
                .columns = matrix.packed.columns,
                .quantised = in.rows,
                .x = in.x.data(),
                .x_stride = in.rows.blocks * 32,
                .tokens = in.tokens,
                .out = out.data(),
                .out_stride = rows,
                .accumulate = accumulate});
  return out;
}

class Products : public ::testing::TestWithParam<TensorType> {};

TEST_P(Products, HaveTheBitsOfTheOracleInEveryInstructionSet) {
  std::mt19937 random(1);
  const int unit = modelfile::block_elements(GetParam());
  for (const int columns : {unit * 1, unit * 3, unit * 18 + (unit == 1 ? 5 : 0)}) {
    for (const int rows : {1, 16, 37}) {
      const Matrix matrix(random, GetParam(), rows, columns);
      for (const int tokens : {1, 2, 3, 5, 8, 13, 16, 33, 150}) {
        const Activations in(random, columns, tokens);
        const auto expected = multiply(kScalarKernels, matrix, in, tokens % 2 == 0);
        for (const Kernels* const kernels : vector_sets()) {
          EXPECT_TRUE(same_bits(multiply(*kernels, matrix, in, tokens % 2 == 0), expected))
              << to_string(kernels->set) << " " << rows << "x" << columns << ", " << tokens << " tokens";
        }
      }
    }
  }
}

TEST_P(Products, AreTheSumOfWeightsTimesActivations) {
  std::mt19937 random(2);
  const int columns = modelfile::block_elements(GetParam()) * (is_quantised(GetParam()) ? 4 : 100);
  const Matrix matrix(random, GetParam(), 19, columns);
  const Activations in(random, columns, 3);
  const auto got = multiply(kScalarKernels, matrix, in, true);
  std::vector<float> weights(static_cast<std::size_t>(columns));
  for (int r = 0; r < 19; ++r) {
    dequantise_row(GetParam(), matrix.row(r), weights);
    for (int t = 0; t < 3; ++t) {
      double sum = 0.25;
      double size = 0;
      for (int c = 0; c < columns; ++c) {
        const auto i = static_cast<std::size_t>(t * in.rows.blocks * 32 + c);
        const double x = is_quantised(GetParam()) ? in.decoded(t, c) : static_cast<double>(in.x[i]);
        sum += static_cast<double>(weights[static_cast<std::size_t>(c)]) * x;
        size += std::abs(static_cast<double>(weights[static_cast<std::size_t>(c)]) * x);
      }
      EXPECT_NEAR(got[static_cast<std::size_t>(t * 19 + r)], sum, 1e-5 * (size + 1));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, Products, ::testing::ValuesIn(kAllTypes),
                         [](const auto& info) { return std::string(to_string(info.param)); });

TEST(Quantise, KeepsEveryValueWithinHalfAStepOfItsBlock) {
  std::mt19937 random(3);
  const Activations in(random, 320, 11);
  for (int token = 0; token < in.tokens; ++token) {
    for (int block = 0; block < in.rows.blocks; ++block) {
      const std::ptrdiff_t at = in.rows.at(token, block);
      const float scale = in.rows.scale[at];
      int sum = 0;
      for (int i = 0; i < 32; ++i) {
        const int column = block * 32 + i;
        EXPECT_NEAR(in.x[static_cast<std::size_t>(token * 320 + column)], in.decoded(token, column),
                    scale * 0.5001);
        sum += in.rows.codes[at * 32 + i];
      }
      EXPECT_EQ(in.rows.negative_sum[at], -sum);
      EXPECT_EQ(in.rows.negative_half_sum[2 * at] + in.rows.negative_half_sum[2 * at + 1], -sum);
      EXPECT_EQ(in.rows.scaled_sum[at], scale * static_cast<float>(sum));
    }
  }
}

TEST(Quantise, OfZerosIsZero) {
  std::mt19937 random(3);
  Activations in(random, 32, 1);
  std::fill(in.x.begin(), in.x.end(), 0.0F);
  for (const Kernels* const kernels : vector_sets()) {
    kernels->quantise(in.x.data(), in.rows, 0);
    EXPECT_EQ(in.rows.scale[0], 0.0F);
    EXPECT_EQ(in.rows.codes[7], 0);
    EXPECT_EQ(in.rows.scaled_sum[0], 0.0F);
  }
}

TEST(RowKernels, HaveTheBitsOfTheOracleInEveryInstructionSet) {
  std::mt19937 random(4);
  for (const Kernels* const kernels : vector_sets()) {
    for (const int count : {32, 96, 1536}) {
      const auto a = random_floats(random, static_cast<std::size_t>(count), 8);
      const auto b = random_floats(random, static_cast<std::size_t>(count));
      std::vector<float> expected(a.size());
      std::vector<float> got(a.size());
      kScalarKernels.rms_norm(a.data(), b.data(), count - 7, count, 1e-5F, expected.data());
      kernels->rms_norm(a.data(), b.data(), count - 7, count, 1e-5F, got.data());
      EXPECT_TRUE(same_bits(got, expected));
      kScalarKernels.silu_multiply(a.data(), b.data(), count, expected.data());
      kernels->silu_multiply(a.data(), b.data(), count, got.data());
      EXPECT_TRUE(same_bits(got, expected));

      got = expected = a;
      kScalarKernels.rotate(expected.data(), b.data(), b.data() + 7, count / 2 - 7);
      kernels->rotate(got.data(), b.data(), b.data() + 7, count / 2 - 7);
      EXPECT_TRUE(same_bits(got, expected));

      std::vector<std::uint16_t> half_expected(a.size());
      std::vector<std::uint16_t> half_got(a.size());
      kScalarKernels.to_half(a.data(), count - 3, half_expected.data());
      kernels->to_half(a.data(), count - 3, half_got.data());
      EXPECT_EQ(half_got, half_expected);

      Activations in(random, count, 2);
      const std::vector<std::int8_t> codes(in.rows.codes,
                                           in.rows.codes + static_cast<long>(kQuantRowGroup) * count);
      const std::vector<std::uint16_t> wide(in.rows.wide,
                                            in.rows.wide + static_cast<long>(kQuantRowGroup) * count);
      const std::vector<float> scales(in.rows.scale,
                                      in.rows.scale + static_cast<long>(kQuantRowGroup) * count / 32);
      for (int t = 0; t < 2; ++t) {
        kernels->quantise(in.x.data() + static_cast<std::ptrdiff_t>(t) * count, in.rows, t);
      }
      EXPECT_TRUE(std::equal(codes.begin(), codes.end(), in.rows.codes));
      EXPECT_TRUE(std::equal(scales.begin(), scales.end(), in.rows.scale));
      EXPECT_TRUE(std::equal(wide.begin(), wide.end(), in.rows.wide));
    }
  }
}

TEST(RowKernels, SiluIsAccurateOverItsWholeRange) {
  for (float x = -100; x < 100; x += 1.6F) {
    std::vector<float> gate(16, x);
    std::vector<float> up(16, 1.0F);
    std::vector<float> out(16);
    kScalarKernels.silu_multiply(gate.data(), up.data(), 16, out.data());
    const double exact = static_cast<double>(x) / (1 + std::exp(-static_cast<double>(x)));
    EXPECT_NEAR(out[3], exact, 4e-7 * std::abs(exact) + 1e-35) << x;
  }
}

}  // namespace
}  // namespace llmd::engine
