// Block hashes: a prompt is cut into blocks, and the hash of a block covers everything before it, so that two
// prompts share a prefix of n blocks exactly when their first n hashes are equal.
//
// Here are the two chains that never leave this process:
//   approximate  over text as it arrives (no tokenizer), for "where did I send this before";
//   request keys over token ids, for the index that engines feed with events (kv_index.h).
// What engines compute for themselves is in engine_hash.h. None of it defends against an attacker who wants
// two prompts to look alike: a wrong match costs a cache miss, never a wrong answer.
//
// Pure functions and one small streaming class; no locks, no allocation unless a vector has to grow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace llmd::kvcache {

using BlockHash = std::uint64_t;
using TokenId = std::uint32_t;

// ── Approximate chain
// ───────────────────────────────────────────────────────────────────────────────────────
//
//   unit     = AES or XXH3 of 64 bytes of prompt text (unit_hash.h)  made while the body arrives
//   h0       = XXH64(model, then the cache salt)                     may be known last
//   digest_i = the unit's hash; of blocks of four fold((u1 ^ C) * (u2 ^ D)) + fold((u3 ^ E) * (u4 ^ F)); of
//              blocks of another number XXH3(their hashes, little-endian)
//   h_i      = fold((digest_i ^ A) * (h_(i-1) ^ B))                  128-bit product, its halves xor-ed
//
// Prompts are hashed in tens of thousands of small pieces, and each link of the chain waits for the one
// before: these functions have the shortest way through a processor.
//
// One unit is what 16 tokens of 4 bytes are worth, the indexer's default block. The last, partial block is
// hashed too.

inline constexpr std::size_t kUnitBytes = 64;

// Cuts a byte stream into units, however it is split into pieces.
class UnitHasher {
 public:
  // Appends the hashes of the units that are complete now.
  void feed(std::string_view bytes, std::vector<std::uint64_t>& units);
  // Appends the hash of the incomplete last unit, if there is one, and starts over.
  void finish(std::vector<std::uint64_t>& units);

 private:
  char pending_[kUnitBytes];
  std::size_t pending_size_ = 0;
};

BlockHash approximate_seed(std::string_view model, std::string_view cache_salt);

// Writes the chain into `chain`, as many blocks as fit, and returns how many those are:
// min(chain.size(), ceil(units.size() / units_per_block)). units_per_block of 0 counts as 1.
std::size_t approximate_chain(BlockHash seed, std::span<const std::uint64_t> units,
                              std::size_t units_per_block, std::span<BlockHash> chain);

// A chain over token ids (4 bytes each, little-endian), where a prompt has already been tokenised:
//   digest_i = XXH64(tokens of the block),  h_i = XXH64(LE64(digest_i), LE64(h_(i-1)))
std::size_t approximate_token_chain(BlockHash seed, std::span<const TokenId> tokens, std::size_t block_size,
                                    std::span<BlockHash> chain);

// ── Request keys
// ────────────────────────────────────────────────────────────────────────────────────────────
//
//   cbor-fnv  init = FNV-1a-64(CBOR[FNV-1a-64(seed), nil, model]);
//             key_i = FNV-1a-64(CBOR[key_(i-1), [token, …], nil or [{"Hash": extra}, …]])
//   xxh64     XXH64(LE64(previous), LE32(token)…, for each extra LE64(its length) and its bytes);
//             init: previous = XXH64(seed), no tokens, the model as the only extra
//
// Full blocks only. A key is never 0: engines use 0 for "no parent".

enum class KeyAlgorithm {
  CborFnv,  // what the indexers we replace use; needed when keys are shared through a store
  Xxh64,    // about eight times cheaper
};

// The extra strings of one block (image ids, cache salt), in order.
using BlockExtras = std::span<const std::string_view>;

class RequestKeys {
 public:
  // `model` is the adapter's name when the request uses one.
  RequestKeys(KeyAlgorithm algorithm, std::string_view seed, std::string_view model);

  BlockHash init() const { return init_; }
  // The key of one block after `previous` (init() for the first). `tokens` is the whole block.
  BlockHash next(BlockHash previous, std::span<const TokenId> tokens, BlockExtras extras = {}) const;
  // The keys of all full blocks of `tokens` that follow `previous`; extras[i], where present, belong to block
  // i. Writes as many as fit and returns how many.
  std::size_t chain(BlockHash previous, std::span<const TokenId> tokens, std::size_t block_size,
                    std::span<const BlockExtras> extras, std::span<BlockHash> keys) const;

 private:
  KeyAlgorithm algorithm_;
  BlockHash init_;
};

}  // namespace llmd::kvcache
