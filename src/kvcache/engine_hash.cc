#include "kvcache/engine_hash.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/strings.h"
#include "crypto/encode.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "kvcache/cbor.h"
#include "kvcache/pickle.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace llmd::kvcache {
namespace {

using Algorithm = EngineHashAlgorithm;

struct AlgorithmRow {
  std::string_view name;
  Algorithm algorithm;
  bool pickled;
};
constexpr std::array kAlgorithms{
    AlgorithmRow{"sha256", Algorithm::Sha256, true},
    AlgorithmRow{"sha256_cbor", Algorithm::Sha256Cbor, false},
    AlgorithmRow{"sha256_cbor_64bit", Algorithm::Sha256Cbor64, false},
    AlgorithmRow{"xxhash", Algorithm::Xxhash, true},
    AlgorithmRow{"xxhash_cbor", Algorithm::XxhashCbor, false},
    AlgorithmRow{"builtin", Algorithm::Builtin, false},
};

bool is_pickled(Algorithm algorithm) {
  return std::ranges::find(kAlgorithms, algorithm, &AlgorithmRow::algorithm)->pickled;
}

std::string big_endian(std::uint64_t value) {
  std::string bytes(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<char>(value >> (56 - 8 * i));
  }
  return bytes;
}

EngineDigest digest_of(Algorithm algorithm, std::string_view bytes) {
  switch (algorithm) {
    case Algorithm::Sha256:
    case Algorithm::Sha256Cbor: {
      const auto digest = crypto::sha256(bytes);
      return EngineDigest(crypto::bytes_of(digest));
    }
    case Algorithm::Sha256Cbor64: {
      const auto digest = crypto::sha256(bytes);
      return EngineDigest(crypto::bytes_of(digest).substr(24));
    }
    case Algorithm::Xxhash:
    case Algorithm::XxhashCbor: {
      const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
      return EngineDigest(big_endian(hash.high64) + big_endian(hash.low64));
    }
    case Algorithm::Builtin:
      return EngineDigest(big_endian(crypto::xxh64(bytes)));
  }
  LLMD_ASSERT(false, "every algorithm has a hash");
}

std::string as_pickle(const EngineDigest& parent, std::span<const TokenId> tokens, BlockExtras extras) {
  Pickle pickle;
  pickle.begin_tuple(3);
  pickle.bytes(parent.bytes());
  pickle.begin_tuple(tokens.size());
  for (const TokenId token : tokens) {
    pickle.integer(token);
  }
  pickle.end_tuple(tokens.size());
  if (extras.empty()) {
    pickle.none();
  } else {
    pickle.begin_tuple(extras.size());
    for (const std::string_view extra : extras) {
      pickle.text(extra);
    }
    pickle.end_tuple(extras.size());
  }
  pickle.end_tuple(3);
  return pickle.finish();
}

std::string as_cbor(const EngineDigest& parent, bool parent_is_number, std::span<const TokenId> tokens,
                    BlockExtras extras) {
  StringSink sink;
  cbor_array(sink, 3);
  if (parent_is_number) {
    cbor_unsigned(sink, parent.low64());
  } else {
    cbor_bytes(sink, parent.bytes());
  }
  cbor_array(sink, tokens.size());
  for (const TokenId token : tokens) {
    cbor_unsigned(sink, token);
  }
  if (extras.empty()) {
    cbor_nil(sink);
  } else {
    cbor_array(sink, extras.size());
    for (const std::string_view extra : extras) {
      cbor_text(sink, extra);
    }
  }
  return std::move(sink.bytes);
}

EngineDigest first_digest(Algorithm algorithm, const std::optional<std::string>& seed) {
  if (!seed) {
    return digest_of(algorithm, crypto::random_bytes(32));
  }
  if (is_pickled(algorithm)) {
    Pickle pickle;
    pickle.text(*seed);
    return digest_of(algorithm, pickle.finish());
  }
  StringSink sink;
  cbor_text(sink, *seed);
  return digest_of(algorithm, sink.bytes);
}

}  // namespace

EngineDigest::EngineDigest(std::string_view bytes) : size_(std::min(bytes.size(), bytes_.size())) {
  std::memcpy(bytes_.data(), bytes.data(), size_);
}

EngineHash EngineDigest::low64() const {
  EngineHash hash = 0;
  for (const char c : bytes()) {
    hash = hash << 8 | static_cast<unsigned char>(c);
  }
  return hash;
}

Result<EngineHashAlgorithm> parse_engine_hash(std::string_view name) {
  const auto row = std::ranges::find(kAlgorithms, name, &AlgorithmRow::name);
  if (row != kAlgorithms.end()) {
    return row->algorithm;
  }
  std::vector<std::string_view> names;
  for (const AlgorithmRow& known : kAlgorithms) {
    names.push_back(known.name);
  }
  return invalid_argument("'{}' is no prefix caching hash algorithm", name).hint(did_you_mean(name, names));
}

EngineHasher::EngineHasher(EngineHashAlgorithm algorithm, const std::optional<std::string>& seed)
    : algorithm_(algorithm), none_hash_(first_digest(algorithm, seed)) {}

EngineDigest EngineHasher::next(const EngineDigest& parent, std::span<const TokenId> tokens,
                                BlockExtras extras) const {
  if (is_pickled(algorithm_)) {
    return digest_of(algorithm_, as_pickle(parent, tokens, extras));
  }
  const bool number = algorithm_ == Algorithm::Sha256Cbor64 || algorithm_ == Algorithm::Builtin;
  return digest_of(algorithm_, as_cbor(parent, number, tokens, extras));
}

}  // namespace llmd::kvcache
