#include "engine/model/rope.h"

#include <cmath>
#include <numbers>

namespace llmd::engine {
namespace {

// Three cases by wavelength: 1. short: unchanged; 2. long: divided by factor; 3. between: a mix that is
// continuous.
float llama3_frequency(float frequency, const RopeSettings& settings) {
  const float wavelength = 2 * std::numbers::pi_v<float> / frequency;
  if (wavelength < settings.original_positions / settings.high_frequency) {
    return frequency;
  }
  if (wavelength > settings.original_positions / settings.low_frequency) {
    return frequency / settings.factor;
  }
  const float smooth = (settings.original_positions / wavelength - settings.low_frequency) /
                       (settings.high_frequency - settings.low_frequency);
  return frequency * ((1 - smooth) / settings.factor + smooth);
}

}  // namespace

std::vector<float> rope_frequencies(const RopeSettings& settings, int head_dim) {
  std::vector<float> frequencies;
  for (int i = 0; i < head_dim / 2; ++i) {
    const auto plain = static_cast<float>(std::pow(static_cast<double>(settings.theta), -2.0 * i / head_dim));
    switch (settings.scaling) {
      case RopeScaling::None:
        frequencies.push_back(plain);
        break;
      case RopeScaling::Linear:
        frequencies.push_back(plain / settings.factor);
        break;
      case RopeScaling::Llama3:
        frequencies.push_back(llama3_frequency(plain, settings));
        break;
    }
  }
  return frequencies;
}

}  // namespace llmd::engine
