// The names of event fields on the wire, in the order of the positional encoding. Reader and writer share
// them.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace llmd::kvcache {

inline constexpr std::string_view kStoredTag = "BlockStored";
inline constexpr std::string_view kRemovedTag = "BlockRemoved";
inline constexpr std::string_view kClearedTag = "AllBlocksCleared";

template <typename Field>
struct FieldName {
  std::string_view name;
  Field field;
};

enum class StoredField {
  Hashes,
  Parent,
  Tokens,
  BlockSize,
  LoraId,
  Medium,
  LoraName,
  ExtraKeys,
  Group,
  SpecKind,
  SlidingWindow,
  CacheSalt,
};
inline constexpr std::array kStoredFields{
    FieldName<StoredField>{"block_hashes", StoredField::Hashes},
    FieldName<StoredField>{"parent_block_hash", StoredField::Parent},
    FieldName<StoredField>{"token_ids", StoredField::Tokens},
    FieldName<StoredField>{"block_size", StoredField::BlockSize},
    FieldName<StoredField>{"lora_id", StoredField::LoraId},
    FieldName<StoredField>{"medium", StoredField::Medium},
    FieldName<StoredField>{"lora_name", StoredField::LoraName},
    FieldName<StoredField>{"extra_keys", StoredField::ExtraKeys},
    FieldName<StoredField>{"group_idx", StoredField::Group},
    FieldName<StoredField>{"kv_cache_spec_kind", StoredField::SpecKind},
    FieldName<StoredField>{"kv_cache_spec_sliding_window", StoredField::SlidingWindow},
    FieldName<StoredField>{"cache_salt", StoredField::CacheSalt},  // in maps only
};
inline constexpr std::size_t kStoredPositions = 11;
inline constexpr std::size_t kStoredLeastPositions = 4;  // up to the block size

enum class RemovedField { Hashes, Medium, Group };
inline constexpr std::array kRemovedFields{
    FieldName<RemovedField>{"block_hashes", RemovedField::Hashes},
    FieldName<RemovedField>{"medium", RemovedField::Medium},
    FieldName<RemovedField>{"group_idx", RemovedField::Group},
};

}  // namespace llmd::kvcache
