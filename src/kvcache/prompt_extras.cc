#include "kvcache/prompt_extras.h"

#include <algorithm>

#include "base/assert.h"

namespace llmd::kvcache {
namespace {

constexpr std::size_t kMaxExtras = 1'000'000;  // of one prompt; the rest is left out, which costs matches

struct Tainted {
  std::size_t block;
  std::string_view id;
};

// In the order of blocks, and in each of offsets.
std::vector<Tainted> tainted_blocks(std::vector<PlacedItem> items, std::size_t block_size,
                                    std::size_t blocks) {
  std::ranges::sort(items, {}, &PlacedItem::offset);
  std::vector<Tainted> tainted;
  for (const PlacedItem& item : items) {
    if (item.length == 0 || item.offset / block_size >= blocks) {
      continue;
    }
    const std::uint64_t room = blocks * block_size - item.offset;
    const std::uint64_t last = (item.offset + std::min(item.length, room) - 1) / block_size;
    for (std::uint64_t block = item.offset / block_size; block <= last && tainted.size() < kMaxExtras;
         ++block) {
      tainted.push_back({static_cast<std::size_t>(block), item.id});
    }
  }
  // Insertion order decides among equals; std::stable_sort would do, but allocates through a deprecated
  // function.
  std::vector<std::size_t> starts(blocks + 1, 0);
  for (const Tainted& one : tainted) {
    ++starts[one.block + 1];
  }
  for (std::size_t block = 0; block < blocks; ++block) {
    starts[block + 1] += starts[block];
  }
  std::vector<Tainted> sorted(tainted.size());
  for (const Tainted& one : tainted) {
    sorted[starts[one.block]++] = one;
  }
  return sorted;
}

}  // namespace

PromptExtras::PromptExtras(std::span<const PlacedItem> items, std::string_view cache_salt,
                           std::size_t block_size, std::size_t blocks) {
  LLMD_ASSERT(block_size > 0, "a block has tokens");
  if (blocks == 0 || (items.empty() && cache_salt.empty())) {
    return;
  }
  const auto tainted = tainted_blocks({items.begin(), items.end()}, block_size, blocks);
  const std::size_t used = tainted.empty() ? 0 : tainted.back().block + 1;
  ids_.reserve(tainted.size() + 1);
  std::size_t next = 0;
  for (std::size_t block = 0; block < std::max<std::size_t>(used, 1); ++block) {
    const std::size_t first = ids_.size();
    for (; next < tainted.size() && tainted[next].block == block; ++next) {
      ids_.push_back(tainted[next].id);
    }
    if (block == 0 && !cache_salt.empty()) {
      ids_.push_back(cache_salt);
    }
    blocks_.emplace_back(ids_.data() + first, ids_.size() - first);
  }
}

}  // namespace llmd::kvcache
