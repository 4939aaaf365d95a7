#include "engine/core/rows.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>

namespace llmd::engine {
namespace {

constexpr std::size_t kLanes = 16;

inline float exp_of(float x) {
  // x = n ln 2 + r with |r| <= ln 2 / 2; e^x = 2^n e^r. Adding 1.5 * 2^23 rounds to an integer in the low
  // bits.
  constexpr float kRound = 12582912.0F;
  const float clamped = std::max(x, -87.0F);
  const float shifted = clamped * 1.44269504F + kRound;
  const float n = shifted - kRound;
  const float r = clamped - n * 0.693359375F + n * 2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  const auto exponent =
      static_cast<std::uint32_t>(std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(kRound));
  const float scaled = std::bit_cast<float>(std::bit_cast<std::uint32_t>(p) + (exponent << 23));
  return x < -87.0F ? 0.0F : scaled;
}

}  // namespace

float fast_exp(float x) {
  return exp_of(x);
}

float row_max(std::span<const float> row) {
  std::array<float, kLanes> lanes;
  lanes.fill(-std::numeric_limits<float>::infinity());
  std::size_t i = 0;
  for (; i + kLanes <= row.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] = std::max(lanes[lane], row.data()[i + lane]);
    }
  }
  float best = *std::ranges::max_element(lanes);
  for (; i < row.size(); ++i) {
    best = std::max(best, row[i]);
  }
  return best;
}

Token row_argmax(std::span<const float> row) {
  const auto found = std::ranges::find(row, row_max(row));
  return found == row.end() ? 0 : static_cast<Token>(found - row.begin());
}

int row_count_above(std::span<const float> row, float value) {
  std::int32_t count = 0;
  for (std::size_t i = 0; i < row.size(); ++i) {
    count += row.data()[i] > value ? 1 : 0;
  }
  return count;
}

double row_exp(std::span<const float> row, float shift, std::span<float> out) {
  std::array<double, kLanes> lanes{};
  std::size_t i = 0;
  for (; i + kLanes <= row.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float e = exp_of(row.data()[i + lane] - shift);
      out.data()[i + lane] = e;
      lanes[lane] += static_cast<double>(e);
    }
  }
  double sum = 0;
  for (const double lane : lanes) {
    sum += lane;
  }
  for (; i < row.size(); ++i) {
    out[i] = exp_of(row[i] - shift);
    sum += static_cast<double>(out[i]);
  }
  return sum;
}

}  // namespace llmd::engine
