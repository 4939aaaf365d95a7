// The identity of a full block of tokens together with everything before it: h(parent, tokens, extra).
// Two blocks with equal hashes hold the same keys and values.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string_view>

#include "engine/model/model.h"

namespace llmd::engine {

struct BlockHash {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  auto operator<=>(const BlockHash&) const = default;
};

struct BlockHashBits {
  std::size_t operator()(const BlockHash& hash) const { return hash.low; }
};

// Where a chain begins. `seed` is random per process, or from PYTHONHASHSEED where replicas must agree;
// `adapter` and `salt` keep prompts of different LoRA adapters and of different tenants (cache_salt) apart.
BlockHash root_hash(std::uint64_t seed, std::string_view adapter, std::string_view salt);
BlockHash next_hash(const BlockHash& parent, std::span<const Token> tokens);

}  // namespace llmd::engine
