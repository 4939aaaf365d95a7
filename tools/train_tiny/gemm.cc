#include "train_tiny/gemm.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace llmd::train_tiny {
namespace {

using Wide = float __attribute__((vector_size(64)));    // one AVX-512 register
using Narrow = float __attribute__((vector_size(32)));  // one AVX2 register

template <typename Vector>
constexpr int kLanes = static_cast<int>(sizeof(Vector) / sizeof(float));

struct Tile {
  View a;  // already at the tile's first row
  int k;
  const float* panel;  // [k][2 vectors]
  float* c;
  std::ptrdiff_t c_stride;
  Store store;
};

// memcpy, because floats in a row have no alignment a vector could rely on. No vectors cross a call by value:
// their calling convention depends on the instruction set.
template <typename Vector>
[[gnu::always_inline]] inline void load(Vector& to, const float* from) {
  std::memcpy(&to, from, sizeof(Vector));
}

// `Rows` x two vectors of C stay in registers over the whole of K.
template <typename Vector, int Rows>
[[gnu::always_inline]] inline void multiply_tile(const Tile& tile) {
  Vector sum[Rows][2] = {};
  const float* panel = tile.panel;
  for (int k = 0; k < tile.k; ++k, panel += 2 * kLanes<Vector>) {
    Vector left;
    Vector right;
    load(left, panel);
    load(right, panel + kLanes<Vector>);
    const float* a = tile.a.data + k * tile.a.column_stride;
#pragma clang loop unroll(full)
    for (int row = 0; row < Rows; ++row) {
      const float value = a[row * tile.a.row_stride];
      sum[row][0] += value * left;
      sum[row][1] += value * right;
    }
  }
#pragma clang loop unroll(full)
  for (int row = 0; row < Rows; ++row) {
    float* out = tile.c + row * tile.c_stride;
    if (tile.store == Store::Add) {
      Vector before;
      load(before, out);
      sum[row][0] += before;
      load(before, out + kLanes<Vector>);
      sum[row][1] += before;
    }
    std::memcpy(out, &sum[row], sizeof(sum[row]));
  }
}

// Copies `width` columns of B into a panel of fixed width, zeros behind them.
[[gnu::always_inline]] inline void pack(View b, int k, int width, int panel_width, float* panel) {
  for (int row = 0; row < k; ++row) {
    const float* from = b.data + row * b.row_stride;
    for (int column = 0; column < panel_width; ++column) {
      panel[column] = column < width ? from[column * b.column_stride] : 0.0F;
    }
    panel += panel_width;
  }
}

template <typename Vector, int Rows>
[[gnu::always_inline]] inline void multiply_panel(Tile tile, int m) {
  int row = 0;
  for (; row + Rows <= m; row += Rows) {
    multiply_tile<Vector, Rows>(tile);
    tile.a.data += Rows * tile.a.row_stride;
    tile.c += Rows * tile.c_stride;
  }
  for (; row < m; ++row) {
    multiply_tile<Vector, 1>(tile);
    tile.a.data += tile.a.row_stride;
    tile.c += tile.c_stride;
  }
}

template <typename Vector, int Rows>
[[gnu::always_inline]] inline void multiply(int m, int n, int k, View a, View b, float* c,
                                            std::ptrdiff_t c_stride, Store store) {
  constexpr int kWidth = 2 * kLanes<Vector>;
  thread_local std::vector<float> panel;
  thread_local std::vector<float> edge;
  panel.resize(static_cast<std::size_t>(k) * kWidth);
  for (int column = 0; column < n; column += kWidth) {
    const int width = std::min(kWidth, n - column);
    pack({b.data + column * b.column_stride, b.row_stride, b.column_stride}, k, width, kWidth, panel.data());
    if (width == kWidth) {
      multiply_panel<Vector, Rows>({a, k, panel.data(), c + column, c_stride, store}, m);
      continue;
    }
    // The last, incomplete panel goes through a buffer of full width.
    edge.resize(static_cast<std::size_t>(m) * kWidth);
    multiply_panel<Vector, Rows>({a, k, panel.data(), edge.data(), kWidth, Store::Replace}, m);
    for (int row = 0; row < m; ++row) {
      for (int i = 0; i < width; ++i) {
        float& out = c[row * c_stride + column + i];
        out = (store == Store::Add ? out : 0.0F) + edge[static_cast<std::size_t>(row * kWidth + i)];
      }
    }
  }
}

using Product = void (*)(int m, int n, int k, View a, View b, float* c, std::ptrdiff_t c_stride, Store store);

void multiply_narrow(int m, int n, int k, View a, View b, float* c, std::ptrdiff_t c_stride, Store store) {
  multiply<Narrow, 6>(m, n, k, a, b, c, c_stride, store);
}

#if defined(__x86_64__)
[[gnu::target("avx512f")]] void multiply_wide(int m, int n, int k, View a, View b, float* c,
                                              std::ptrdiff_t c_stride, Store store) {
  multiply<Wide, 8>(m, n, k, a, b, c, c_stride, store);
}

Product product_for_this_cpu() {
  return __builtin_cpu_supports("avx512f") ? multiply_wide : multiply_narrow;
}
#else
Product product_for_this_cpu() {
  return multiply_narrow;
}
#endif

}  // namespace

void gemm(int m, int n, int k, View a, View b, float* c, std::ptrdiff_t c_stride, Store store) {
  static const Product product = product_for_this_cpu();
  product(m, n, k, a, b, c, c_stride, store);
}

}  // namespace llmd::train_tiny
