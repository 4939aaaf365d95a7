// Low-rank adapters: W' = W + (alpha / rank) · B A for every projection. Training goes through the merged
// weights: the dense gradient of W' gives the gradients of A and B by two small products.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "train_tiny/parameters.h"

namespace llmd::train_tiny {

struct LoraOptions {
  int rank = 8;
  float alpha = 16;
};

// The adapter of one projection; both parts live in the adapter's flat array.
struct LoraPair {
  Weight base;
  Weight a;  // [rank, base.columns], "base_model.model.<module>.lora_A.weight"
  Weight b;  // [base.rows, rank]
};

struct LoraLayout {
  LoraLayout(const Shape& shape, const LoraOptions& options);
  float scale;
  std::vector<LoraPair> pairs;
  std::size_t total = 0;

  std::vector<Weight> all() const;
};

// A normal, B zero: the adapter starts as no change.
std::vector<float> initial_lora(const LoraLayout& layout, std::uint64_t seed);

std::vector<float> merged(const LoraLayout& layout, std::span<const float> base,
                          std::span<const float> adapter);

// From d(merged weights) to d(adapter).
void adapter_gradient(const LoraLayout& layout, std::span<const float> merged_gradient,
                      std::span<const float> adapter, std::span<float> gradient);

}  // namespace llmd::train_tiny
