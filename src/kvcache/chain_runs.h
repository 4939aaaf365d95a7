// ChainRuns: the prompts that one endpoint is thought to hold, as a tree of runs: blocks that follow each
// other and were used at the same time. Touching what is held costs one comparison of memory per run, not one
// look-up per block; a new end of a prompt is copied, not linked.
//
// What is held is closed under "prefix of". Runs stand in the order of their last use, every run behind those
// that lead to it, so the last one is always an end of the tree; blocks leave from its end.
//
// A hash is taken to name its whole prefix, as block_hash.h makes them. Chains that break this (a forged
// collision) may be cut short; nothing else happens to them. 8 bytes per block, and up to 180 per run.
// Not thread-safe: PrefixIndex's writer owns it.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "kvcache/block_hash.h"
#include "kvcache/node_table.h"

namespace llmd::kvcache {

class ChainRuns {
 public:
  explicit ChainRuns(std::size_t capacity) : capacity_(capacity) {}

  // Makes the part of the chain that is held the most recent; how long it is. extend() continues there.
  std::size_t touch(std::span<const BlockHash> chain);
  // Whether blocks that begin with this one, which touch() did not find, may follow.
  bool may_extend(BlockHash first) const;
  // Blocks behind what touch() found. Their number may exceed the capacity until pop_excess() says no more.
  void extend(std::span<const BlockHash> blocks);
  // Takes some blocks from the end of the least recent chain, in their order; empty within the capacity.
  // Valid until the next change.
  std::span<const BlockHash> pop_excess();

  void set_capacity(std::size_t capacity) { capacity_ = capacity; }
  std::size_t capacity() const { return capacity_; }
  std::size_t size() const { return size_; }
  std::size_t memory_bytes() const;

  template <typename Visit>
  void for_each(Visit visit) const {
    for (std::uint32_t run = first_; run != kNone; run = runs_[run].next) {
      for (Cursor at = begin_of(run); at.left > 0; at = next_chunk(at)) {
        for (const BlockHash hash : hashes_at(at)) {
          visit(hash);
        }
      }
    }
  }

 private:
  static constexpr std::uint32_t kNone = NodeTable::kNone;
  static constexpr std::uint32_t kChunk = 16;
  struct Chunk {
    std::array<BlockHash, kChunk> hashes;
    std::uint32_t previous;
    std::uint32_t next;
  };
  struct Run {
    std::uint32_t first_chunk;
    std::uint32_t last_chunk;
    std::uint32_t begin;  // where in the first chunk it begins
    std::uint32_t count;  // of blocks, at least 1
    std::uint32_t parent;
    std::uint32_t children;
    std::uint32_t previous;  // more recent
    std::uint32_t next;
  };
  // The blocks of a run from some place on, chunk by chunk.
  struct Cursor {
    std::uint32_t chunk;
    std::uint32_t begin;
    std::uint32_t left;
  };

  Cursor begin_of(std::uint32_t run) const {
    return {runs_[run].first_chunk, runs_[run].begin, runs_[run].count};
  }
  std::span<const BlockHash> hashes_at(const Cursor& at) const {
    return std::span(chunks_[at.chunk].hashes).subspan(at.begin).first(std::min(kChunk - at.begin, at.left));
  }
  Cursor next_chunk(const Cursor& at) const {
    return {chunks_[at.chunk].next, 0, at.left - std::min(kChunk - at.begin, at.left)};
  }
  BlockHash hash_of(std::uint32_t run) const {
    return chunks_[runs_[run].first_chunk].hashes[runs_[run].begin];
  }
  auto hashes() const {
    return [this](std::uint32_t run) { return hash_of(run); };
  }

  std::uint32_t common_length(std::uint32_t run, std::span<const BlockHash> chain) const;
  Cursor advanced(Cursor at, std::uint32_t length) const;
  void cut(std::uint32_t length);
  std::uint32_t new_run(std::uint32_t parent);
  std::uint32_t add_chunk(std::uint32_t run);
  void append(std::uint32_t run, std::span<const BlockHash> blocks);
  void index(std::uint32_t run);
  void remove(std::uint32_t run);
  void unlink(std::uint32_t run);
  void link_behind(std::uint32_t run, std::uint32_t other);  // kNone: as the first

  std::size_t capacity_;
  std::size_t size_ = 0;  // blocks
  std::vector<Chunk> chunks_;
  std::vector<Run> runs_;
  NodeTable by_first_block_;
  std::uint32_t first_ = kNone;  // the most recent run
  std::uint32_t last_ = kNone;
  std::uint32_t deepest_ = kNone;     // the run at whose end touch() stopped
  bool is_cut_ = false;               // it stopped before the end of a run that cannot be divided
  std::uint32_t free_chunk_ = kNone;  // lists through next
  std::uint32_t free_run_ = kNone;
};

}  // namespace llmd::kvcache
