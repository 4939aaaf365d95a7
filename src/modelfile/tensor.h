// What GGUF and safetensors files have in common: named, typed, shaped views into mapped bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace llmd::modelfile {

// How elements are stored. The Q types hold blocks of 32 (256 for ..K) quantised weights with their scales.
enum class TensorType { F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K };

std::string_view to_string(TensorType type);
int block_elements(TensorType type);  // 1 for F32, F16, BF16
int block_bytes(TensorType type);

// Bytes of a row-major tensor; an error when a dimension is negative, a row is no whole number of blocks or
// the product does not fit.
Result<std::uint64_t> tensor_bytes(TensorType type, std::span<const std::int64_t> shape);

// The bytes belong to the file object that gave the view.
struct TensorView {
  TensorType type = TensorType::F32;
  std::vector<std::int64_t> shape;  // slowest first: a matrix is {rows, columns}
  std::span<const std::byte> bytes;
};

}  // namespace llmd::modelfile
