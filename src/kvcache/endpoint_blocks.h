// The blocks of one endpoint in order of last use, with constant-time touch, removal and eviction.
// 16 bytes per block and about 8 for the hash table. Not thread-safe: PrefixIndex's writer owns it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kvcache/block_hash.h"
#include "kvcache/node_table.h"

namespace llmd::kvcache {

class EndpointBlocks {
 public:
  explicit EndpointBlocks(std::size_t capacity) : capacity_(capacity) {}

  // Makes `hash` the most recent block or, between begin_chain() and the next one, puts it right behind the
  // block touched before: the first block of a chain ends up as the most recent. True when it is new.
  bool touch(BlockHash hash);
  void begin_chain() { cursor_ = kNone; }
  bool erase(BlockHash hash);
  // Takes out the least recent block while there are more than the capacity.
  std::optional<BlockHash> pop_excess();

  void set_capacity(std::size_t capacity) { capacity_ = capacity; }
  std::size_t capacity() const { return capacity_; }
  std::size_t size() const { return table_.size(); }
  std::size_t memory_bytes() const;

  template <typename Visit>
  void for_each(Visit visit) const {
    for (std::uint32_t node = first_; node != kNone; node = nodes_[node].next) {
      visit(nodes_[node].hash);
    }
  }

 private:
  static constexpr std::uint32_t kNone = NodeTable::kNone;
  struct Node {
    BlockHash hash;
    std::uint32_t previous;
    std::uint32_t next;
  };

  auto hashes() const {
    return [this](std::uint32_t node) { return nodes_[node].hash; };
  }
  void grow();
  void unlink(std::uint32_t node);
  void link_behind_cursor(std::uint32_t node);
  std::uint32_t new_node(BlockHash hash);

  std::size_t capacity_;
  std::vector<Node> nodes_;
  NodeTable table_;
  std::uint32_t first_ = kNone;  // most recent
  std::uint32_t last_ = kNone;
  std::uint32_t cursor_ = kNone;
  std::uint32_t free_ = kNone;  // list through Node::next
};

}  // namespace llmd::kvcache
