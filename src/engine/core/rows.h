// Passes over one row of logits (the whole vocabulary). Written so that the compiler vectorises them; the
// order of every sum is fixed, so that results are the same on every machine and in every batch.
#pragma once

#include <span>
#include <vector>

#include "engine/model/model.h"

namespace llmd::engine {

float row_max(std::span<const float> row);
// The lowest index that holds the maximum.
Token row_argmax(std::span<const float> row);
// How many entries are larger than `value`.
int row_count_above(std::span<const float> row, float value);
// out[i] = exp(row[i] - shift); returns the sum. Entries below -87 under the shift give 0.
double row_exp(std::span<const float> row, float shift, std::span<float> out);

// The natural exponential within 2 ulp for x <= 88; 0 below -87. A polynomial, so that loops over it
// vectorise.
float fast_exp(float x);

}  // namespace llmd::engine
