#include "engine/core/block_hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace llmd::engine {
namespace {

void add_text(XXH3_state_t& state, std::string_view text) {
  const std::uint64_t length = text.size();
  XXH3_128bits_update(&state, &length, sizeof length);
  XXH3_128bits_update(&state, text.data(), text.size());
}

}  // namespace

BlockHash root_hash(std::uint64_t seed, std::string_view adapter, std::string_view salt) {
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  XXH3_128bits_reset_withSeed(&state, seed);
  add_text(state, adapter);
  add_text(state, salt);
  const XXH128_hash_t hash = XXH3_128bits_digest(&state);
  return {hash.low64, hash.high64};
}

BlockHash next_hash(const BlockHash& parent, std::span<const Token> tokens) {
  XXH3_state_t state;
  XXH3_INITSTATE(&state);
  XXH3_128bits_reset_withSeed(&state, parent.low);
  XXH3_128bits_update(&state, &parent, sizeof parent);
  XXH3_128bits_update(&state, tokens.data(), tokens.size_bytes());
  const XXH128_hash_t hash = XXH3_128bits_digest(&state);
  return {hash.low64, hash.high64};
}

}  // namespace llmd::engine
