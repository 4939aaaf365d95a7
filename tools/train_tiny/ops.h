// The operations of a decoder layer besides matrix products, each with its derivative. Rows are tokens.
// "backward" functions take dy, the gradient of the loss by the operation's result, and add to the gradients
// of its inputs where the name says so.
#pragma once

#include <vector>

#include "train_tiny/parameters.h"

namespace llmd::train_tiny {

// y = x / rms(x) * weight, row by row; inverse_rms keeps 1 / rms for the way back.
void rms_norm(int count, int width, float epsilon, const float* x, const float* weight, float* y,
              float* inverse_rms);
// dx += ..., dweight += ...
void rms_norm_backward(int count, int width, const float* x, const float* weight, const float* inverse_rms,
                       const float* dy, float* dx, float* dweight);

// cos and sin of every angle: [positions][head_dim / 2].
struct RopeTable {
  RopeTable(const Shape& shape, int positions);
  std::vector<float> cos, sin;
};
enum class Turn { Forward, Back };  // Back is the inverse rotation, which is also the derivative
void rotate(int count, int heads, int head_dim, const RopeTable& table, Turn turn, float* x);

// y = silu(gate) * up over `size` values.
void swiglu(std::size_t size, const float* gate, const float* up, float* y);
void swiglu_backward(std::size_t size, const float* gate, const float* up, const float* dy, float* dgate,
                     float* dup);

// In place over one row: softmax of the first `visible` values, zero behind them.
void softmax(float* row, int visible, int width);

// log(sum(exp(row))) in double.
double log_sum_exp(const float* row, int width);

}  // namespace llmd::train_tiny
