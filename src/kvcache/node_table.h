// NodeTable: from a block hash to the number of the node that stands for it. Linear probing over the numbers
// alone, 4 bytes a place; `hash_of(node)` tells a node's hash. At most half of the places are taken: runs of
// taken places grow fast beyond that, and removing walks through them. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "kvcache/block_hash.h"
#include "kvcache/mixing.h"

namespace llmd::kvcache {

class NodeTable {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  std::size_t size() const { return size_; }
  bool is_full() const { return (size_ + 1) * 2 > places_.size(); }
  std::size_t memory_bytes() const { return places_.capacity() * sizeof(std::uint32_t); }

  // Room for so many nodes.
  template <typename HashOf>
  void reserve(std::size_t nodes, HashOf hash_of) {
    std::vector<std::uint32_t> old(nodes * 2, kNone);
    old.swap(places_);
    for (const std::uint32_t node : old) {
      if (node != kNone) {
        places_[place_of(hash_of(node), hash_of)] = node;
      }
    }
  }

  // kNone when there is none.
  template <typename HashOf>
  std::uint32_t find(BlockHash hash, HashOf hash_of) const {
    return size_ == 0 ? kNone : places_[place_of(hash, hash_of)];
  }

  // Of a hash that find() does not know; not while is_full().
  template <typename HashOf>
  void insert(std::uint32_t node, HashOf hash_of) {
    places_[place_of(hash_of(node), hash_of)] = node;
    ++size_;
  }

  // Another node for a hash that is there.
  template <typename HashOf>
  void replace(BlockHash hash, std::uint32_t node, HashOf hash_of) {
    places_[place_of(hash, hash_of)] = node;
  }

  // Of a hash that is there. Moves later entries of the probe run forward, so that no markers of removed
  // entries are needed.
  template <typename HashOf>
  void erase(BlockHash hash, HashOf hash_of) {
    std::size_t hole = place_of(hash, hash_of);
    for (std::size_t place = after(hole); places_[place] != kNone; place = after(place)) {
      const std::size_t wanted = home(hash_of(places_[place]));
      if (distance(wanted, place) >= distance(hole, place)) {
        places_[hole] = std::exchange(places_[place], kNone);
        hole = place;
      }
    }
    places_[hole] = kNone;
    --size_;
  }

 private:
  std::size_t home(BlockHash hash) const { return scaled(mixed(hash, secret_), places_.size()); }
  std::size_t after(std::size_t place) const { return place + 1 == places_.size() ? 0 : place + 1; }
  std::size_t distance(std::size_t from, std::size_t to) const {
    return to >= from ? to - from : to + places_.size() - from;
  }
  // Of the node with this hash, or of the free place where it belongs.
  template <typename HashOf>
  std::size_t place_of(BlockHash hash, HashOf hash_of) const {
    std::size_t place = home(hash);
    while (places_[place] != kNone && hash_of(places_[place]) != hash) {
      place = after(place);
    }
    return place;
  }

  std::uint64_t secret_ = process_secret();
  std::size_t size_ = 0;
  std::vector<std::uint32_t> places_;
};

}  // namespace llmd::kvcache
