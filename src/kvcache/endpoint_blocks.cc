#include "kvcache/endpoint_blocks.h"

#include <algorithm>

#include "base/assert.h"
#include "kvcache/mixing.h"

namespace llmd::kvcache {

std::size_t EndpointBlocks::home(BlockHash hash) const {
  static const std::uint64_t secret = process_secret();
  return scaled(mixed(hash, secret), table_.size());
}

std::size_t EndpointBlocks::find(BlockHash hash) const {
  std::size_t place = home(hash);
  while (table_[place] != kNone && nodes_[table_[place]].hash != hash) {
    place = place + 1 == table_.size() ? 0 : place + 1;
  }
  return place;
}

// Moves later entries of the probe run forward, so that no markers of removed entries are needed.
void EndpointBlocks::close_hole(std::size_t hole) {
  const std::size_t size = table_.size();
  const auto distance = [size](std::size_t from, std::size_t to) {
    return to >= from ? to - from : to + size - from;
  };
  std::size_t place = hole;
  while (true) {
    place = place + 1 == size ? 0 : place + 1;
    if (table_[place] == kNone) {
      break;
    }
    const std::size_t wanted = home(nodes_[table_[place]].hash);
    if (distance(wanted, place) >= distance(hole, place)) {
      table_[hole] = table_[place];
      hole = place;
    }
  }
  table_[hole] = kNone;
}

void EndpointBlocks::grow() {
  // A third of room beyond what is needed now; near the capacity exactly that much.
  const std::size_t wanted = std::max<std::size_t>({16, size_ + size_ / 2});
  const std::size_t blocks = std::max(std::min(wanted, capacity_ + 1), size_ + 1);
  nodes_.reserve(blocks);
  table_.assign(blocks * 2, kNone);
  for (std::uint32_t node = first_; node != kNone; node = nodes_[node].next) {
    table_[find(nodes_[node].hash)] = node;
  }
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
  if ((size_ + 1) * 2 > table_.size()) {
    grow();
  }
  const std::size_t place = find(hash);
  if (table_[place] != kNone) {
    const std::uint32_t node = table_[place];
    if (node != cursor_) {
      unlink(node);
      link_behind_cursor(node);
    }
    return false;
  }
  const std::uint32_t node = new_node(hash);
  table_[place] = node;
  link_behind_cursor(node);
  ++size_;
  return true;
}

bool EndpointBlocks::erase(BlockHash hash) {
  if (size_ == 0) {
    return false;
  }
  const std::size_t place = find(hash);
  const std::uint32_t node = table_[place];
  if (node == kNone) {
    return false;
  }
  close_hole(place);
  unlink(node);
  if (cursor_ == node) {
    cursor_ = kNone;
  }
  nodes_[node].next = free_;
  free_ = node;
  --size_;
  return true;
}

std::optional<BlockHash> EndpointBlocks::pop_excess() {
  if (size_ <= capacity_) {
    return std::nullopt;
  }
  const BlockHash hash = nodes_[last_].hash;
  erase(hash);
  return hash;
}

std::size_t EndpointBlocks::memory_bytes() const {
  return sizeof *this + nodes_.capacity() * sizeof(Node) + table_.capacity() * sizeof(std::uint32_t);
}

}  // namespace llmd::kvcache
