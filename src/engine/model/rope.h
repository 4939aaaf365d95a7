// Rotary position embedding: which angle each pair of dimensions turns per position.
#pragma once

#include <vector>

#include "base/result.h"

namespace llmd::engine {

enum class RopeScaling { None, Linear, Llama3 };

struct RopeSettings {
  float theta = 10000;
  RopeScaling scaling = RopeScaling::None;
  float factor = 1;          // > 0
  float low_frequency = 1;   // Llama3: wavelengths longer than original / low are slowed down by factor
  float high_frequency = 4;  // Llama3: shorter than original / high stay
  float original_positions = 8192;
};

// head_dim / 2 angles: theta^(-2i / head_dim), scaled.
std::vector<float> rope_frequencies(const RopeSettings& settings, int head_dim);

}  // namespace llmd::engine
