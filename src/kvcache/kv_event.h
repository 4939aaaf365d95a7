// KV events: what an engine tells about its cache. One batch is one ZeroMQ message's third frame.
//
// Two encodings exist and both are read: positional arrays (vLLM up to 0.23, SGLang) and maps (vLLM from 0.24
// on). Unknown tags, keys and extra positions are passed over; an event that makes no sense is skipped and
// counted, and never costs its batch the other events. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "kvcache/block_hash.h"

namespace llmd::kvcache {

// An engine's name for a block: an opaque handle. Digests are cut to their last 8 bytes, as engines do by
// default.
using EngineHash = std::uint64_t;

struct BlockStored {
  std::vector<EngineHash> hashes;
  EngineHash parent = 0;        // 0: these blocks begin the prompt
  std::vector<TokenId> tokens;  // empty: known blocks are now in `medium` too
  std::uint32_t block_size = 0;
  std::string medium;  // "GPU", "CPU", …; empty means GPU
  std::string lora_name;
  std::vector<std::vector<std::string>>
      extra_keys;  // per block: adapter, image ids, salt; what is no text is left out
  std::optional<std::uint32_t> group;
  std::string spec_kind;  // "full_attention", "sliding_window", …
  std::optional<std::uint32_t> sliding_window;
  std::string cache_salt;  // SGLang
  bool operator==(const BlockStored&) const = default;
};

struct BlockRemoved {
  std::vector<EngineHash> hashes;
  std::string medium;
  std::optional<std::uint32_t> group;
  bool operator==(const BlockRemoved&) const = default;
};

struct AllBlocksCleared {
  bool operator==(const AllBlocksCleared&) const = default;
};

using KvEvent = std::variant<BlockStored, BlockRemoved, AllBlocksCleared>;

struct EventBatch {
  double timestamp = 0;  // seconds since the epoch, by the engine's clock
  std::vector<KvEvent> events;
  std::optional<std::int64_t> rank;  // data parallel
  std::uint32_t unknown_events = 0;  // of kinds that came after this was written
  std::uint32_t bad_events = 0;      // that made no sense
  bool operator==(const EventBatch&) const = default;
};

inline constexpr std::size_t kMaxBatchBytes = std::size_t{32} << 20;

// DataLoss when the bytes are no batch at all; ResourceExhausted past kMaxBatchBytes.
Result<EventBatch> decode_events(std::string_view payload);

enum class EventEncoding { Array, Map };
// What an engine would send: defaults are left out. `unknown_events` and `bad_events` are not encoded.
std::string encode_events(const EventBatch& batch, EventEncoding encoding);

// The topic "kv@POD@MODEL"; a model's name may contain '@'. Anything else is a pod without a model.
struct EventTopic {
  std::string_view pod;
  std::string_view model;
};
EventTopic parse_topic(std::string_view topic);
std::string make_topic(std::string_view pod, std::string_view model);

}  // namespace llmd::kvcache
