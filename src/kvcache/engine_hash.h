// Block hashes as engines make them (vLLM's --prefix-caching-hash-algo), for our own engine, the simulator
// and for telling whether two engines with the same seed agree. Routing does not need them: see kv_index.h.
//
//   h_i = H([h_(i-1) or NONE_HASH, [token, …], nil or [extra, …]])
//
//   name               serialisation     H            digest
//   sha256             pickle            SHA-256      32 bytes
//   sha256_cbor        canonical CBOR    SHA-256      32 bytes
//   sha256_cbor_64bit  canonical CBOR    SHA-256      its low 64 bits, which are also the parent's form
//   xxhash             pickle            XXH3-128     16 bytes
//   xxhash_cbor        canonical CBOR    XXH3-128     16 bytes
//   builtin            canonical CBOR    XXH64        8 bytes
//
// NONE_HASH is H(seed), or random when no seed is given (PYTHONHASHSEED): then engines do not agree with each
// other, on purpose. `builtin` stands for Python's own hash(), which depends on the interpreter; ours is only
// consistent with itself. Pickle is protocol 5 as CPython writes it, for blocks below about ten thousand
// tokens (one frame).
//
// Extra keys in order: adapter name, image ids, cache salt (first block only). Pure; one object per engine,
// any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "kvcache/block_hash.h"
#include "kvcache/kv_event.h"

namespace llmd::kvcache {

enum class EngineHashAlgorithm { Sha256, Sha256Cbor, Sha256Cbor64, Xxhash, XxhashCbor, Builtin };

// By the names above; InvalidArgument with the nearest one otherwise.
Result<EngineHashAlgorithm> parse_engine_hash(std::string_view name);

class EngineDigest {
 public:
  EngineDigest() = default;
  explicit EngineDigest(std::string_view bytes);
  std::string_view bytes() const { return {bytes_.data(), size_}; }
  // How events call the block: the low 64 bits.
  EngineHash low64() const;
  bool operator==(const EngineDigest& other) const { return bytes() == other.bytes(); }

 private:
  std::array<char, 32> bytes_{};
  std::size_t size_ = 0;
};

class EngineHasher {
 public:
  EngineHasher(EngineHashAlgorithm algorithm, const std::optional<std::string>& seed);

  const EngineDigest& none_hash() const { return none_hash_; }
  // `tokens` is the whole block.
  EngineDigest next(const EngineDigest& parent, std::span<const TokenId> tokens,
                    BlockExtras extras = {}) const;

 private:
  EngineHashAlgorithm algorithm_;
  EngineDigest none_hash_;
};

}  // namespace llmd::kvcache
