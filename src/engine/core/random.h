// Random numbers that depend on nothing but (seed, index): the i-th token of a sequence draws the same number
// whoever shares its batch, and again after a preemption.
#pragma once

#include <cstdint>

namespace llmd::engine {

// Steele, Lea, Flood: the finaliser of SplitMix64. A bijection with full avalanche.
constexpr std::uint64_t mix_bits(std::uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9ULL;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebULL;
  x ^= x >> 31;
  return x;
}

constexpr std::uint64_t random_bits(std::uint64_t seed, std::uint64_t index) {
  constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ULL;
  return mix_bits(mix_bits(seed + kGolden) + (index + 1) * kGolden);
}

// In [0, 1), 53 bits.
constexpr double random_unit(std::uint64_t seed, std::uint64_t index) {
  return static_cast<double>(random_bits(seed, index) >> 11) * 0x1.0p-53;
}

}  // namespace llmd::engine
