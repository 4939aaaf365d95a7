#include "kvcache/block_hash.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "kvcache/cbor.h"
#include "kvcache/unit_hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace llmd::kvcache {
namespace {

// Of a block, where a configuration does not say otherwise: 64 tokens.
constexpr std::size_t kDefaultUnits = 4;

static_assert(std::endian::native == std::endian::little, "hashes are defined over little-endian words");

// Text is hashed by what is fastest for such short pieces: nobody else computes these.
std::uint64_t unit_of(const void* bytes, std::size_t size) {
  return XXH3_64bits(bytes, size);
}

// Of a length that the compiler knows, with the general function dissolved in it: no calls and no loops, and
// neighbouring hashes are computed side by side.
template <std::size_t kBytes>
std::uint64_t hash_of(const void* bytes) {
  std::uint64_t hash = 0;
  [[clang::always_inline]] hash = XXH3_64bits(bytes, kBytes);
  return hash;
}

// A 128-bit product, its halves xor-ed.
std::uint64_t folded(std::uint64_t a, std::uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// A and B of the formula are numbers without a pattern: parts of the golden ratio and of the square root
// of 2. So are those below, of the square roots of the next primes.
BlockHash link(std::uint64_t digest, BlockHash previous) {
  return folded(digest ^ 0x9e3779b97f4a7c15ULL, previous ^ 0x6a09e667f3bcc909ULL);
}

// Of four hashes, which have no pattern any more. Two multiplications, against eight of XXH3.
std::uint64_t digest_of_four(const std::uint64_t* units) {
  return folded(units[0] ^ 0xbb67ae8584caa73bULL, units[1] ^ 0x3c6ef372fe94f82bULL) +
         folded(units[2] ^ 0xa54ff53a5f1d36f1ULL, units[3] ^ 0x510e527fade682d1ULL);
}

BlockHash token_link(std::uint64_t digest, BlockHash previous) {
  const std::uint64_t words[2] = {digest, previous};
  return XXH64(words, sizeof words, 0);
}

// 0 means "no parent" on the wire, so no block may have it.
BlockHash never_zero(BlockHash key) {
  return key == 0 ? 1 : key;
}

BlockHash cbor_fnv_key(BlockHash previous, std::span<const TokenId> tokens, BlockExtras extras) {
  Fnv1aSink sink;
  cbor_array(sink, 3);
  cbor_unsigned(sink, previous);
  cbor_array(sink, tokens.size());
  for (const TokenId token : tokens) {
    cbor_unsigned(sink, token);
  }
  if (extras.empty()) {
    cbor_nil(sink);
  } else {
    cbor_array(sink, extras.size());
    for (const std::string_view extra : extras) {
      cbor_map(sink, 1);
      cbor_text(sink, "Hash");
      cbor_text(sink, extra);
    }
  }
  return sink.hash;
}

BlockHash xxh64_key(BlockHash previous, std::span<const TokenId> tokens, BlockExtras extras) {
  XXH64_state_t state;
  XXH64_reset(&state, 0);
  XXH64_update(&state, &previous, sizeof previous);
  if (!tokens.empty()) {
    XXH64_update(&state, tokens.data(), tokens.size_bytes());
  }
  for (const std::string_view extra : extras) {
    const std::uint64_t size = extra.size();
    XXH64_update(&state, &size, sizeof size);
    XXH64_update(&state, extra.data(), extra.size());
  }
  return XXH64_digest(&state);
}

BlockHash init_key(KeyAlgorithm algorithm, std::string_view seed, std::string_view model) {
  if (algorithm == KeyAlgorithm::Xxh64) {
    return xxh64_key(XXH64(seed.data(), seed.size(), 0), {}, std::span(&model, 1));
  }
  Fnv1aSink seed_hash;
  seed_hash.put(seed);
  Fnv1aSink sink;
  cbor_array(sink, 3);
  cbor_unsigned(sink, seed_hash.hash);
  cbor_nil(sink);
  cbor_text(sink, model);
  return sink.hash;
}

}  // namespace

void UnitHasher::feed(std::string_view bytes, std::vector<std::uint64_t>& units) {
  if (pending_size_ > 0) {
    const std::size_t taken = std::min(kUnitBytes - pending_size_, bytes.size());
    std::memcpy(pending_ + pending_size_, bytes.data(), taken);
    pending_size_ += taken;
    bytes.remove_prefix(taken);
    if (pending_size_ < kUnitBytes) {
      return;
    }
    unit_hash()(pending_, 1, &units.emplace_back());
    pending_size_ = 0;
  }
  const std::size_t before = units.size();
  const std::size_t whole = bytes.size() / kUnitBytes;
  units.resize(before + whole);
  unit_hash()(bytes.data(), whole, units.data() + before);
  bytes.remove_prefix(whole * kUnitBytes);
  if (!bytes.empty()) {
    std::memcpy(pending_, bytes.data(), bytes.size());
    pending_size_ = bytes.size();
  }
}

void UnitHasher::finish(std::vector<std::uint64_t>& units) {
  if (pending_size_ > 0) {
    units.push_back(unit_of(pending_, pending_size_));
    pending_size_ = 0;
  }
}

BlockHash approximate_seed(std::string_view model, std::string_view cache_salt) {
  XXH64_state_t state;
  XXH64_reset(&state, 0);
  for (const std::string_view part : {model, cache_salt}) {
    if (!part.empty()) {
      XXH64_update(&state, part.data(), part.size());
    }
  }
  return XXH64_digest(&state);
}

std::size_t approximate_chain(BlockHash seed, std::span<const std::uint64_t> units,
                              std::size_t units_per_block, std::span<BlockHash> chain) {
  const std::size_t step = std::max<std::size_t>(units_per_block, 1);
  BlockHash previous = seed;
  std::size_t count = 0;
  if (step == kDefaultUnits) {
    for (; count < chain.size() && units.size() >= step; units = units.subspan(step)) {
      previous = link(digest_of_four(units.data()), previous);
      chain[count++] = previous;
    }
  }
  while (count < chain.size() && !units.empty()) {
    const auto block = units.first(std::min(step, units.size()));
    previous = link(step == 1 ? block[0] : unit_of(block.data(), block.size_bytes()), previous);
    chain[count++] = previous;
    units = units.subspan(block.size());
  }
  return count;
}

std::size_t approximate_token_chain(BlockHash seed, std::span<const TokenId> tokens, std::size_t block_size,
                                    std::span<BlockHash> chain) {
  const std::size_t step = std::max<std::size_t>(block_size, 1);
  BlockHash previous = seed;
  std::size_t count = 0;
  while (count < chain.size() && !tokens.empty()) {
    const auto block = tokens.first(std::min(step, tokens.size()));
    previous = token_link(XXH64(block.data(), block.size_bytes(), 0), previous);
    chain[count++] = previous;
    tokens = tokens.subspan(block.size());
  }
  return count;
}

RequestKeys::RequestKeys(KeyAlgorithm algorithm, std::string_view seed, std::string_view model)
    : algorithm_(algorithm), init_(init_key(algorithm, seed, model)) {}

BlockHash RequestKeys::next(BlockHash previous, std::span<const TokenId> tokens, BlockExtras extras) const {
  return never_zero(algorithm_ == KeyAlgorithm::Xxh64 ? xxh64_key(previous, tokens, extras)
                                                      : cbor_fnv_key(previous, tokens, extras));
}

std::size_t RequestKeys::chain(BlockHash previous, std::span<const TokenId> tokens, std::size_t block_size,
                               std::span<const BlockExtras> extras, std::span<BlockHash> keys) const {
  const std::size_t full = block_size == 0 ? 0 : tokens.size() / block_size;
  const std::size_t count = std::min(full, keys.size());
  for (std::size_t i = 0; i < count; ++i) {
    const BlockExtras own = i < extras.size() ? extras[i] : BlockExtras();
    previous = next(previous, tokens.subspan(i * block_size, block_size), own);
    keys[i] = previous;
  }
  return count;
}

}  // namespace llmd::kvcache
