// The one matrix product of the tool. Operands are views with two strides, so a transposed matrix costs
// nothing.
#pragma once

#include <cstddef>

namespace llmd::train_tiny {

struct View {
  const float* data;
  std::ptrdiff_t row_stride;
  std::ptrdiff_t column_stride;
};

inline View rows(const float* data, std::ptrdiff_t width) {
  return {data, width, 1};
}
inline View transposed(const float* data, std::ptrdiff_t width) {
  return {data, 1, width};
}

enum class Store { Replace, Add };

// c[m, n] (rows c_stride floats apart) = or += a[m, k] · b[k, n]. Any sizes; thread-safe.
void gemm(int m, int n, int k, View a, View b, float* c, std::ptrdiff_t c_stride,
          Store store = Store::Replace);

}  // namespace llmd::train_tiny
