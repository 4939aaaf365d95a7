// The quantised formats, decoded: every one of them is, per 32 weights, unsigned codes with a scale and an
// offset.
//
//   weight[i] = scale[i / 16] * (code[i] - zero) + min
//
// The decoding is exact: what the file means and nothing rounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "modelfile/tensor.h"

namespace llmd::engine {

inline constexpr int kQuantBlock = 32;

struct QuantBlock {
  std::uint8_t code[kQuantBlock];
  float scale[2];  // of the first and of the second 16; equal except in Q6_K
  float min;       // 0 in formats that have a zero point instead
};

bool is_quantised(modelfile::TensorType type);
// 0 for formats with min.
constexpr int code_zero(modelfile::TensorType type) {
  using modelfile::TensorType;
  switch (type) {
    case TensorType::Q4_0:
      return 8;
    case TensorType::Q5_0:
      return 16;
    case TensorType::Q6_K:
      return 32;
    case TensorType::Q8_0:
      return 128;
    default:
      return 0;
  }
}

// Decodes elements 32 * index .. 32 * index + 31 of the row that starts at `row`.
QuantBlock decode_block(modelfile::TensorType type, const std::byte* row, int index);

// Any type to floats; `row` holds out.size() elements.
void dequantise_row(modelfile::TensorType type, const std::byte* row, std::span<float> out);

float half_to_float(std::uint16_t bits);
std::uint16_t float_to_half(float value);  // rounds to nearest even
float bfloat_to_float(std::uint16_t bits);

}  // namespace llmd::engine
