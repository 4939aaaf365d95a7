// The owners' word of an OwnerTable entry.
//   bits 62..63  01 inline, 10 a set (00 is "no entry")
//   bit  61      the block belongs to a run (owner_runs.h); inline words only
//   bits 48..60  13 bits of the block's mixed hash
//   inline:      three owners of 16 bits each, slot × 8 + tier; 0xffff is none. They are packed from the low
//   end. set:         its number in the low 32 bits
#pragma once

#include <cstdint>

namespace llmd::kvcache::owner_word {

inline constexpr std::uint64_t kInline = 1ULL << 62;
inline constexpr std::uint64_t kSet = 2ULL << 62;
inline constexpr std::uint64_t kKindMask = 3ULL << 62;
inline constexpr std::uint64_t kInRun = 1ULL << 61;
inline constexpr std::uint64_t kCheckMask = 0x1fffULL << 48;
inline constexpr std::uint64_t kHeadMask = kKindMask | kCheckMask;
inline constexpr std::uint64_t kOwnersMask = 0xffff'ffff'ffffULL;
inline constexpr std::uint16_t kNobody = 0xffff;
inline constexpr int kInlineOwners = 3;

constexpr std::uint64_t check_bits(std::uint64_t mixed) {
  return (mixed << 44) & kCheckMask;  // bits 4..16; the lower ones choose the shard
}
constexpr std::uint16_t pack(std::uint16_t slot, std::uint8_t tier) {
  return static_cast<std::uint16_t>(slot * 8U + tier);
}
constexpr std::uint16_t slot_of(std::uint16_t packed) {
  return packed / 8;
}
constexpr std::uint8_t tier_of(std::uint16_t packed) {
  return packed % 8;
}
constexpr std::uint16_t owner(std::uint64_t word, int place) {
  return static_cast<std::uint16_t>(word >> (16 * place));
}
constexpr std::uint64_t with_owner(std::uint64_t word, int place, std::uint16_t packed) {
  const int shift = 16 * place;
  return (word & ~(0xffffULL << shift)) | (std::uint64_t{packed} << shift);
}
constexpr std::uint64_t single(std::uint64_t check, std::uint16_t packed) {
  return kInline | check | 0xffff'ffff'0000ULL | packed;
}
constexpr bool is_inline_owner(std::uint64_t word, std::uint16_t packed) {
  return owner(word, 0) == packed || owner(word, 1) == packed || owner(word, 2) == packed;
}
constexpr bool is_set(std::uint64_t word) {
  return (word & kKindMask) == kSet;
}
// Of two inline words; a set has an owner list of its own.
constexpr bool same_owners(std::uint64_t a, std::uint64_t b) {
  return ((a ^ b) & (kOwnersMask | kKindMask)) == 0 && !is_set(a);
}
constexpr std::uint32_t set_of(std::uint64_t word) {
  return static_cast<std::uint32_t>(word);
}

}  // namespace llmd::kvcache::owner_word
