// The extra keys of a prompt's blocks on the request's side: what beside tokens decides whether two blocks
// are equal. Engines send the same strings in the same order with BlockStored.
//
//   const PromptExtras extras(images, cache_salt, block_size, blocks);
//   keys.chain(keys.init(), tokens, block_size, extras.blocks(), chain);
//
// An image taints every block that its placeholder tokens reach into; ids stand in the order of their
// offsets. The cache salt is the last extra of the first block. The texts must outlive the object. Pure;
// movable, not copyable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kvcache/block_hash.h"

namespace llmd::kvcache {

// An image, video or sound in a tokenised prompt: its content's id, and the placeholder tokens that stand for
// it.
struct PlacedItem {
  std::string_view id;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

class PromptExtras {
 public:
  // `block_size` in tokens, at least 1; only the first `blocks` blocks are of interest.
  PromptExtras(std::span<const PlacedItem> items, std::string_view cache_salt, std::size_t block_size,
               std::size_t blocks);
  PromptExtras(PromptExtras&&) noexcept = default;
  PromptExtras& operator=(PromptExtras&&) noexcept = default;

  // Up to the last block that has any; empty for plain text without a salt.
  std::span<const BlockExtras> blocks() const { return blocks_; }

 private:
  std::vector<std::string_view> ids_;  // block by block; blocks_ points into it
  std::vector<BlockExtras> blocks_;
};

}  // namespace llmd::kvcache
