#include "kvcache/unit_hash.h"

#include "kvcache/block_hash.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace llmd::kvcache {
namespace {

// The length is one that the compiler knows and the general function is dissolved in the loop: no calls, and
// neighbouring hashes are computed side by side.
void hash_by_xxh3(const char* bytes, std::size_t count, std::uint64_t* out) {
  for (std::size_t i = 0; i < count; ++i, bytes += kUnitBytes) {
    [[clang::always_inline]] out[i] = XXH3_64bits(bytes, kUnitBytes);
  }
}

#if defined(__x86_64__)
[[gnu::target("aes,sse4.1")]] __m128i quarter(const char* unit, int number) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(unit) + number);
}

// Both halves of the unit go through two rounds of their own, after which each byte of a quarter has reached
// all others of it; three more mix the halves. The keys are digits of pi: numbers without a pattern.
[[gnu::target("aes,sse4.1")]] void hash_by_aes(const char* bytes, std::size_t count, std::uint64_t* out) {
  const __m128i first_key = _mm_set_epi64x(0x243f6a8885a308d3LL, 0x13198a2e03707344LL);
  const __m128i second_key =
      _mm_set_epi64x(static_cast<long long>(0xa4093822299f31d0ULL), 0x082efa98ec4e6c89LL);
  const __m128i third_key =
      _mm_set_epi64x(0x452821e638d01377LL, static_cast<long long>(0xbe5466cf34e90c6cULL));
  const __m128i fourth_key =
      _mm_set_epi64x(static_cast<long long>(0xc0ac29b7c97c50ddULL), 0x3f84d5b5b5470917LL);
  for (std::size_t i = 0; i < count; ++i, bytes += kUnitBytes) {
    __m128i low = _mm_aesenc_si128(_mm_xor_si128(quarter(bytes, 0), first_key), quarter(bytes, 1));
    __m128i high = _mm_aesenc_si128(_mm_xor_si128(quarter(bytes, 2), second_key), quarter(bytes, 3));
    low = _mm_aesenc_si128(low, third_key);
    high = _mm_aesenc_si128(high, fourth_key);
    __m128i mixed = _mm_aesenc_si128(low, high);
    mixed = _mm_aesenc_si128(_mm_aesenc_si128(mixed, first_key), second_key);
    out[i] = static_cast<std::uint64_t>(_mm_cvtsi128_si64(mixed)) ^
             static_cast<std::uint64_t>(_mm_extract_epi64(mixed, 1));
  }
}
#endif

UnitHash fastest() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("aes") && __builtin_cpu_supports("sse4.1")) {
    return hash_by_aes;
  }
#endif
  return hash_by_xxh3;
}

}  // namespace

UnitHash unit_hash() {
  static const UnitHash chosen = fastest();
  return chosen;
}

UnitHash portable_unit_hash() {
  return hash_by_xxh3;
}

}  // namespace llmd::kvcache
