// Who owns which block of the KV cache, and which freed blocks still hold something worth keeping.
//
// A block is in one of three states:
//   used      at least one sequence holds it
//   cached    nobody holds it, its content is known by hash; taken back by a hit, or evicted oldest first
//   empty     nobody holds it and its content means nothing
// Cached and empty blocks count as free. Pure bookkeeping: one thread, no I/O, O(1) per block.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/core/cache_listener.h"

namespace llmd::engine {

class BlockManager {
 public:
  // caching false: no block is ever found by hash. `listener` hears what can no longer be found.
  BlockManager(int blocks, int block_size, bool caching, CacheListener* listener = nullptr);

  int block_size() const { return block_size_; }
  int total_blocks() const { return static_cast<int>(blocks_.size()); }
  int free_blocks() const { return free_count_; }
  double usage() const { return 1.0 - static_cast<double>(free_count_) / total_blocks(); }
  int blocks_for(int tokens) const { return (tokens + block_size_ - 1) / block_size_; }

  // How many leading blocks of the chain are known. `free_needed`: how many of them are not in use by
  // anybody, which is what taking them costs of free_blocks().
  struct Hit {
    int blocks = 0;
    int free_needed = 0;
  };
  Hit find_prefix(std::span<const BlockHash> chain, std::span<const Token> tokens) const;
  // Takes the first `count` blocks of the chain, which find_prefix() has just counted, into the table.
  void take_prefix(std::span<const BlockHash> chain, int count, std::vector<int>& table);

  // Extends the table to cover `tokens` positions. False (nothing changed) when there are not enough free
  // blocks.
  bool grow(std::vector<int>& table, int tokens);
  // Gives all blocks of a sequence back, last one first, so that tails are evicted before shared beginnings;
  // blocks whose content is not known are reused before any of those.
  void release(std::vector<int>& table);
  // The block is full and computed: from now on it can be found. False when it could be already, as itself or
  // as another block of the same content.
  bool remember(int block, const BlockHash& hash, std::span<const Token> tokens);

  bool is_known(const BlockHash& hash) const { return !caching_ || by_hash_.contains(hash); }

  // Forgets all content; refused (false) while blocks are used.
  bool reset_cache();
  // Every block is in exactly one state and the free list is whole: for tests.
  bool is_consistent() const;

 private:
  struct Block {
    int references = 0;
    bool known = false;
    BlockHash hash;
    int previous = -1;  // free list, oldest first
    int next = -1;
  };
  int pop_oldest();
  void push_newest(int block);
  void push_oldest(int block);
  void unlink(int block);
  void forget(int block);
  void evict(int block);
  std::span<Token> content(int block);
  std::span<const Token> content(int block) const;

  const int block_size_;
  const bool caching_;
  CacheListener* const listener_;  // or null
  std::vector<Block> blocks_;
  std::vector<Token> contents_;  // token ids of known blocks: a hash alone never hands out somebody's cache
  std::unordered_map<BlockHash, int, BlockHashBits> by_hash_;
  int free_count_ = 0;
  int oldest_ = -1;
  int newest_ = -1;
};

}  // namespace llmd::engine
