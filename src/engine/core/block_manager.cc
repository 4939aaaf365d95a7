#include "engine/core/block_manager.h"

#include <algorithm>

#include "base/assert.h"

namespace llmd::engine {

BlockManager::BlockManager(int blocks, int block_size, bool caching, CacheListener* listener)
    : block_size_(block_size),
      caching_(caching),
      listener_(listener),
      blocks_(static_cast<std::size_t>(blocks)) {
  LLMD_ASSERT(blocks > 0 && block_size > 0, "a cache needs blocks");
  if (caching_) {
    contents_.resize(blocks_.size() * static_cast<std::size_t>(block_size_));
    by_hash_.reserve(blocks_.size());
  }
  for (int block = 0; block < blocks; ++block) {
    push_newest(block);
  }
}

BlockManager::Hit BlockManager::find_prefix(std::span<const BlockHash> chain,
                                            std::span<const Token> tokens) const {
  Hit hit;
  for (const BlockHash& hash : chain) {
    const auto found = by_hash_.find(hash);
    if (found == by_hash_.end()) {
      break;
    }
    const auto offset = static_cast<std::size_t>(hit.blocks * block_size_);
    if (!std::ranges::equal(content(found->second),
                            tokens.subspan(offset, static_cast<std::size_t>(block_size_)))) {
      break;
    }
    ++hit.blocks;
    hit.free_needed += blocks_[static_cast<std::size_t>(found->second)].references == 0 ? 1 : 0;
  }
  return hit;
}

void BlockManager::take_prefix(std::span<const BlockHash> chain, int count, std::vector<int>& table) {
  for (const BlockHash& hash : chain.first(static_cast<std::size_t>(count))) {
    const int id = by_hash_.at(hash);
    Block& block = blocks_[static_cast<std::size_t>(id)];
    if (block.references == 0) {
      unlink(id);
    }
    ++block.references;
    table.push_back(id);
  }
}

bool BlockManager::grow(std::vector<int>& table, int tokens) {
  const int missing = blocks_for(tokens) - static_cast<int>(table.size());
  if (missing > free_count_) {
    return false;
  }
  for (int i = 0; i < missing; ++i) {
    const int id = pop_oldest();
    evict(id);
    blocks_[static_cast<std::size_t>(id)].references = 1;
    table.push_back(id);
  }
  return true;
}

void BlockManager::release(std::vector<int>& table) {
  for (; !table.empty(); table.pop_back()) {
    Block& block = blocks_[static_cast<std::size_t>(table.back())];
    LLMD_ASSERT(block.references > 0, "a block is released more often than taken");
    if (--block.references == 0) {
      block.known ? push_newest(table.back()) : push_oldest(table.back());
    }
  }
}

bool BlockManager::remember(int id, const BlockHash& hash, std::span<const Token> tokens) {
  Block& block = blocks_[static_cast<std::size_t>(id)];
  LLMD_ASSERT(block.references > 0, "only blocks in use are computed");
  // The same content may exist twice (two sequences computed it side by side): the first one stays the known
  // one.
  if (!caching_ || block.known || !by_hash_.try_emplace(hash, id).second) {
    return false;
  }
  block.known = true;
  block.hash = hash;
  std::ranges::copy(tokens, content(id).begin());
  return true;
}

bool BlockManager::reset_cache() {
  if (free_count_ != total_blocks()) {
    return false;
  }
  for (int id = 0; id < total_blocks(); ++id) {
    forget(id);
  }
  if (listener_ != nullptr) {
    listener_->on_cleared();
  }
  return true;
}

bool BlockManager::is_consistent() const {
  std::vector<bool> listed(blocks_.size(), false);
  int count = 0;
  int previous = -1;
  for (int id = oldest_; id != -1; id = blocks_[static_cast<std::size_t>(id)].next) {
    const Block& block = blocks_[static_cast<std::size_t>(id)];
    if (listed[static_cast<std::size_t>(id)] || block.references != 0 || block.previous != previous) {
      return false;
    }
    listed[static_cast<std::size_t>(id)] = true;
    previous = id;
    ++count;
  }
  std::size_t known = 0;
  for (std::size_t id = 0; id < blocks_.size(); ++id) {
    const Block& block = blocks_[id];
    if ((block.references > 0) == listed[id]) {
      return false;
    }
    if (block.known) {
      const auto found = by_hash_.find(block.hash);
      if (found == by_hash_.end() || found->second != static_cast<int>(id)) {
        return false;
      }
      ++known;
    }
  }
  return count == free_count_ && previous == newest_ && known == by_hash_.size();
}

int BlockManager::pop_oldest() {
  const int id = oldest_;
  LLMD_ASSERT(id != -1, "no free block");
  unlink(id);
  return id;
}

void BlockManager::push_newest(int id) {
  Block& block = blocks_[static_cast<std::size_t>(id)];
  block.previous = newest_;
  block.next = -1;
  (newest_ == -1 ? oldest_ : blocks_[static_cast<std::size_t>(newest_)].next) = id;
  newest_ = id;
  ++free_count_;
}

void BlockManager::push_oldest(int id) {
  Block& block = blocks_[static_cast<std::size_t>(id)];
  block.previous = -1;
  block.next = oldest_;
  (oldest_ == -1 ? newest_ : blocks_[static_cast<std::size_t>(oldest_)].previous) = id;
  oldest_ = id;
  ++free_count_;
}

void BlockManager::unlink(int id) {
  Block& block = blocks_[static_cast<std::size_t>(id)];
  (block.previous == -1 ? oldest_ : blocks_[static_cast<std::size_t>(block.previous)].next) = block.next;
  (block.next == -1 ? newest_ : blocks_[static_cast<std::size_t>(block.next)].previous) = block.previous;
  block.previous = -1;
  block.next = -1;
  --free_count_;
}

void BlockManager::forget(int id) {
  Block& block = blocks_[static_cast<std::size_t>(id)];
  if (block.known) {
    by_hash_.erase(block.hash);
    block.known = false;
  }
}

void BlockManager::evict(int id) {
  const Block& block = blocks_[static_cast<std::size_t>(id)];
  if (block.known && listener_ != nullptr) {
    listener_->on_removed(block.hash);
  }
  forget(id);
}

std::span<Token> BlockManager::content(int id) {
  const auto size = static_cast<std::size_t>(block_size_);
  return std::span(contents_).subspan(static_cast<std::size_t>(id) * size, size);
}

std::span<const Token> BlockManager::content(int id) const {
  const auto size = static_cast<std::size_t>(block_size_);
  return std::span(contents_).subspan(static_cast<std::size_t>(id) * size, size);
}

}  // namespace llmd::engine
