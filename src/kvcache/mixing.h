// Where a hash goes in a table. Keys are hashes already, but of unknown quality (FNV, an engine's own) and
// made from what clients send: a secret multiplier keeps anybody from filling one corner of a table.
#pragma once

#include <cstddef>
#include <cstdint>

namespace llmd::kvcache {

std::uint64_t process_secret();  // odd, the same for the life of the process

inline std::uint64_t mixed(std::uint64_t hash, std::uint64_t secret) {
  hash ^= hash >> 32;
  hash *= secret;
  hash ^= hash >> 29;
  hash *= 0x9e3779b97f4a7c15ULL;
  return hash ^ (hash >> 32);
}

// Maps the high bits of a mixed hash onto [0, size).
inline std::size_t scaled(std::uint64_t mixed_hash, std::size_t size) {
  return static_cast<std::size_t>((static_cast<unsigned __int128>(mixed_hash) * size) >> 64);
}

}  // namespace llmd::kvcache
