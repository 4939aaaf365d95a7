// Sixteen floats at a time, on any instruction set: the compiler splits the vector type into what the file's
// flags allow, with the same operations per lane. Included by the isa_*.cc files only; everything here is
// local to them, so that no function compiled for one set can be linked into another.
#pragma once

#include <cstddef>
#include <cstdint>

namespace llmd::engine {
namespace {

inline constexpr int kLanes = 16;
using Lanes = float __attribute__((ext_vector_type(16)));
using IntLanes = std::int32_t __attribute__((ext_vector_type(16)));
using HalfLanes = _Float16 __attribute__((ext_vector_type(16)));
using ShortLanes = std::uint16_t __attribute__((ext_vector_type(16)));

#define LLMD_INLINE [[gnu::always_inline]] inline

template <typename V, typename T>
LLMD_INLINE V load_as(const T* from) {
  V value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}
LLMD_INLINE Lanes load(const float* from) {
  return load_as<Lanes>(from);
}
LLMD_INLINE void store(float* to, Lanes value) {
  __builtin_memcpy(to, &value, sizeof value);
}
LLMD_INLINE Lanes fma(Lanes a, Lanes b, Lanes c) {
  return __builtin_elementwise_fma(a, b, c);
}
LLMD_INLINE Lanes larger(Lanes a, Lanes b) {
  return a > b ? a : b;
}
LLMD_INLINE Lanes smaller(Lanes a, Lanes b) {
  return a < b ? a : b;
}

LLMD_INLINE Lanes load_half(const std::uint16_t* from) {
  return __builtin_convertvector(load_as<HalfLanes>(from), Lanes);
}

// Weights of one column of a float tile.
LLMD_INLINE Lanes load_weights(const float* from) {
  return load(from);
}
LLMD_INLINE Lanes load_weights(const _Float16* from) {
  return __builtin_convertvector(load_as<HalfLanes>(from), Lanes);
}
struct Bfloat {
  std::uint16_t bits;
};
LLMD_INLINE Lanes load_weights(const Bfloat* from) {
  return __builtin_bit_cast(Lanes, __builtin_convertvector(load_as<ShortLanes>(from), IntLanes) << 16);
}

// Adding 1.5 * 2^23 leaves the nearest integer (ties to even) in the low bits: valid for |x| < 2^22.
inline constexpr float kRounder = 12582912.0F;
LLMD_INLINE IntLanes round_to_int(Lanes x) {
  return __builtin_bit_cast(IntLanes, x + kRounder) - __builtin_bit_cast(IntLanes, Lanes(kRounder));
}

// The fixed tree: halves are added until one lane is left.
LLMD_INLINE float add_lanes(Lanes x) {
  const auto a = x.lo + x.hi;
  const auto b = a.lo + a.hi;
  const auto c = b.lo + b.hi;
  return c.lo + c.hi;
}
LLMD_INLINE float largest_lane(Lanes x) {
  const auto a = x.lo > x.hi ? x.lo : x.hi;
  const auto b = a.lo > a.hi ? a.lo : a.hi;
  const auto c = b.lo > b.hi ? b.lo : b.hi;
  return c.lo > c.hi ? c.lo : c.hi;
}

// Pieces of kPiece lanes taken in turn from a and from b: their even pieces, or the odd ones.
template <int kPiece, int kOdd>
constexpr int turn(int lane) {
  const int piece = lane / kPiece;
  return piece % 2 * kLanes + (piece / 2 * 2 + kOdd) * kPiece + lane % kPiece;
}
template <int kPiece, int kOdd, typename V>
LLMD_INLINE V take_turns(V a, V b) {
  constexpr auto kFrom = [](int lane) { return turn<kPiece, kOdd>(lane); };
  return __builtin_shufflevector(a, b, kFrom(0), kFrom(1), kFrom(2), kFrom(3), kFrom(4), kFrom(5), kFrom(6),
                                 kFrom(7), kFrom(8), kFrom(9), kFrom(10), kFrom(11), kFrom(12), kFrom(13),
                                 kFrom(14), kFrom(15));
}
// Each four lanes in the order 0, 2, 1, 3.
LLMD_INLINE IntLanes in_pairs(IntLanes x) {
  return __builtin_shufflevector(x, x, 0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
}
LLMD_INLINE IntLanes swap_neighbours(IntLanes x) {
  return __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
}

// Lane i of the result is the sum of the lanes of x[i]. Reducing sixteen vectors together costs three
// operations each instead of eight.
LLMD_INLINE IntLanes sum_each(IntLanes (&x)[16]) {
  for (int i = 0; i < 8; ++i) {
    x[i] = take_turns<8, 0>(x[i], x[i + 8]) + take_turns<8, 1>(x[i], x[i + 8]);
  }
  for (int i = 0; i < 4; ++i) {
    x[i] = take_turns<4, 0>(x[i], x[i + 4]) + take_turns<4, 1>(x[i], x[i + 4]);
  }
  for (int i = 0; i < 2; ++i) {
    x[i] = take_turns<2, 0>(x[i], x[i + 2]) + take_turns<2, 1>(x[i], x[i + 2]);
  }
  return take_turns<1, 0>(x[0], x[1]) + take_turns<1, 1>(x[0], x[1]);
}

// Lanes 2i and 2i + 1 of the result are the largest lane of x[i].
LLMD_INLINE Lanes largest_of_eight(Lanes (&x)[8]) {
  for (int i = 0; i < 4; ++i) {
    x[i] = larger(take_turns<8, 0>(x[i], x[i + 4]), take_turns<8, 1>(x[i], x[i + 4]));
  }
  for (int i = 0; i < 2; ++i) {
    x[i] = larger(take_turns<4, 0>(x[i], x[i + 2]), take_turns<4, 1>(x[i], x[i + 2]));
  }
  const Lanes last = larger(take_turns<2, 0>(x[0], x[1]), take_turns<2, 1>(x[0], x[1]));
  return larger(take_turns<1, 0>(last, last), take_turns<1, 1>(last, last));
}

// e^x to about one unit in the last place: x = n ln 2 + r, the Taylor series of e^r to the seventh power (the
// next term is below 2^-27 for |r| <= ln 2 / 2), times 2^n. Clamped so that the result stays a normal number.
LLMD_INLINE Lanes exponential(Lanes x) {
  x = smaller(larger(x, Lanes(-87.0F)), Lanes(88.0F));
  const IntLanes n = round_to_int(x * 1.44269504F);
  const Lanes whole = __builtin_convertvector(n, Lanes);
  Lanes r =
      fma(whole, Lanes(-0.693359375F), x);  // ln 2 in two parts; the first has few bits, the product is exact
  r = fma(whole, Lanes(2.12194440e-4F), r);
  Lanes sum = fma(Lanes(1.0F / 5040), r, Lanes(1.0F / 720));
  sum = fma(sum, r, Lanes(1.0F / 120));
  sum = fma(sum, r, Lanes(1.0F / 24));
  sum = fma(sum, r, Lanes(1.0F / 6));
  sum = fma(sum, r, Lanes(0.5F));
  sum = fma(sum, r, Lanes(1.0F));
  sum = fma(sum, r, Lanes(1.0F));
  return __builtin_bit_cast(Lanes, __builtin_bit_cast(IntLanes, sum) + (n << 23));
}

}  // namespace
}  // namespace llmd::engine
