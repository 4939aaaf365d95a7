#include "train_tiny/ops.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace llmd::train_tiny {
namespace {

// e^x by 2^n * Taylor series of the rest, |rest| <= ln(2)/2: relative error about 1e-7, and the loop
// vectorises.
inline float exponential(float x) {
  const float clamped = std::clamp(x, -87.0F, 87.0F);
  const float n = std::nearbyint(clamped * 1.44269504F);
  const float r = (clamped - n * 0.693145752F) - n * 1.42860677e-6F;  // ln(2) in two parts
  float sum = 1.0F / 5040;
  for (const float coefficient : {1.0F / 720, 1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F, 1.0F, 1.0F}) {
    sum = sum * r + coefficient;
  }
  const auto exponent = static_cast<std::uint32_t>(static_cast<std::int32_t>(n) + 127) << 23;
  return sum * std::bit_cast<float>(exponent);
}

}  // namespace

void rms_norm(int count, int width, float epsilon, const float* x, const float* weight, float* y,
              float* inverse_rms) {
  for (int row = 0; row < count; ++row, x += width, y += width) {
    float squares = 0;
    for (int i = 0; i < width; ++i) {
      squares += x[i] * x[i];
    }
    const float inverse = 1.0F / std::sqrt(squares / static_cast<float>(width) + epsilon);
    for (int i = 0; i < width; ++i) {
      y[i] = x[i] * inverse * weight[i];
    }
    inverse_rms[row] = inverse;
  }
}

void rms_norm_backward(int count, int width, const float* x, const float* weight, const float* inverse_rms,
                       const float* dy, float* dx, float* dweight) {
  for (int row = 0; row < count; ++row, x += width, dy += width, dx += width) {
    const float inverse = inverse_rms[row];
    float dot = 0;
    for (int i = 0; i < width; ++i) {
      dot += dy[i] * weight[i] * x[i];
    }
    const float pull = dot * inverse * inverse * inverse / static_cast<float>(width);
    for (int i = 0; i < width; ++i) {
      dx[i] += inverse * weight[i] * dy[i] - pull * x[i];
      dweight[i] += dy[i] * x[i] * inverse;
    }
  }
}

RopeTable::RopeTable(const Shape& shape, int positions) {
  const int half = shape.head_dim / 2;
  for (int position = 0; position < positions; ++position) {
    for (int i = 0; i < half; ++i) {
      const double angle = position * std::pow(shape.rope_theta, -2.0 * i / shape.head_dim);
      cos.push_back(static_cast<float>(std::cos(angle)));
      sin.push_back(static_cast<float>(std::sin(angle)));
    }
  }
}

void rotate(int count, int heads, int head_dim, const RopeTable& table, Turn turn, float* x) {
  const int half = head_dim / 2;
  const float sign = turn == Turn::Forward ? 1.0F : -1.0F;
  for (int row = 0; row < count; ++row) {
    const float* cos = table.cos.data() + static_cast<std::ptrdiff_t>(row) * half;
    const float* sin = table.sin.data() + static_cast<std::ptrdiff_t>(row) * half;
    for (int head = 0; head < heads; ++head, x += head_dim) {
      for (int i = 0; i < half; ++i) {
        const float first = x[i];
        const float second = x[i + half];
        x[i] = first * cos[i] - sign * second * sin[i];
        x[i + half] = second * cos[i] + sign * first * sin[i];
      }
    }
  }
}

void swiglu(std::size_t size, const float* gate, const float* up, float* y) {
  for (std::size_t i = 0; i < size; ++i) {
    y[i] = gate[i] / (1 + exponential(-gate[i])) * up[i];
  }
}

void swiglu_backward(std::size_t size, const float* gate, const float* up, const float* dy, float* dgate,
                     float* dup) {
  for (std::size_t i = 0; i < size; ++i) {
    const float sigmoid = 1 / (1 + exponential(-gate[i]));
    const float silu = gate[i] * sigmoid;
    dup[i] = dy[i] * silu;
    dgate[i] = dy[i] * up[i] * (sigmoid + silu * (1 - sigmoid));
  }
}

void softmax(float* row, int visible, int width) {
  const float highest = *std::max_element(row, row + visible);
  float sum = 0;
  for (int i = 0; i < visible; ++i) {
    row[i] = exponential(row[i] - highest);
  }
  for (int i = 0; i < visible; ++i) {
    sum += row[i];
  }
  const float inverse = 1 / sum;
  for (int i = 0; i < visible; ++i) {
    row[i] *= inverse;
  }
  std::fill(row + visible, row + width, 0.0F);
}

double log_sum_exp(const float* row, int width) {
  const float highest = *std::max_element(row, row + width);
  double sum = 0;
  for (int i = 0; i < width; ++i) {
    sum += std::exp(static_cast<double>(row[i]) - highest);
  }
  return highest + std::log(sum);
}

}  // namespace llmd::train_tiny
