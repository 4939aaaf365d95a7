#include "kvcache/endpoint_blocks.h"

#include <algorithm>

#include "base/assert.h"

namespace llmd::kvcache {

void EndpointBlocks::grow() {
  // A third of room beyond what is needed now; near the capacity exactly that much.
  const std::size_t wanted = std::max<std::size_t>({16, size() + size() / 2});
  const std::size_t blocks = std::max(std::min(wanted, capacity_ + 1), size() + 1);
  nodes_.reserve(blocks);
  table_.reserve(blocks, hashes());
}

void EndpointBlocks::unlink(std::uint32_t node) {
  const Node& self = nodes_[node];
  (self.previous == kNone ? first_ : nodes_[self.previous].next) = self.next;
  (self.next == kNone ? last_ : nodes_[self.next].previous) = self.previous;
}

void EndpointBlocks::link_behind_cursor(std::uint32_t node) {
  Node& self = nodes_[node];
  self.previous = cursor_;
  self.next = cursor_ == kNone ? first_ : nodes_[cursor_].next;
  (self.previous == kNone ? first_ : nodes_[self.previous].next) = node;
  (self.next == kNone ? last_ : nodes_[self.next].previous) = node;
  cursor_ = node;
}

std::uint32_t EndpointBlocks::new_node(BlockHash hash) {
  if (free_ != kNone) {
    const std::uint32_t node = free_;
    free_ = nodes_[node].next;
    nodes_[node].hash = hash;
    return node;
  }
  LLMD_ASSERT(nodes_.size() < kNone, "an endpoint has fewer than 2^32 blocks");
  nodes_.push_back({hash, kNone, kNone});
  return static_cast<std::uint32_t>(nodes_.size() - 1);
}

bool EndpointBlocks::touch(BlockHash hash) {
  if (const std::uint32_t held = table_.find(hash, hashes()); held != kNone) {
    if (held != cursor_) {
      unlink(held);
      link_behind_cursor(held);
    }
    return false;
  }
  if (table_.is_full()) {
    grow();
  }
  const std::uint32_t node = new_node(hash);
  table_.insert(node, hashes());
  link_behind_cursor(node);
  return true;
}

bool EndpointBlocks::erase(BlockHash hash) {
  const std::uint32_t node = table_.find(hash, hashes());
  if (node == kNone) {
    return false;
  }
  table_.erase(hash, hashes());
  unlink(node);
  if (cursor_ == node) {
    cursor_ = kNone;
  }
  nodes_[node].next = free_;
  free_ = node;
  return true;
}

std::optional<BlockHash> EndpointBlocks::pop_excess() {
  if (size() <= capacity_) {
    return std::nullopt;
  }
  const BlockHash hash = nodes_[last_].hash;
  erase(hash);
  return hash;
}

std::size_t EndpointBlocks::memory_bytes() const {
  return sizeof *this + nodes_.capacity() * sizeof(Node) + table_.memory_bytes();
}

}  // namespace llmd::kvcache
