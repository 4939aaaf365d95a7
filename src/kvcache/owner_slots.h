// One array of an OwnerTable: places for entries straight from the kernel.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "kvcache/mixing.h"

namespace llmd::kvcache {

struct OwnerEntry {
  std::atomic<std::uint64_t> hash;
  std::atomic<std::uint64_t> owners;  // owner_word.h
};

// Zero pages until they are used, and huge pages, without which every cold look-up would also miss the TLB.
// Probing starts at the beginning of a cache line and goes on place by place.
class OwnerSlots {
 public:
  // Hashes that stand for a free place and for a removed entry; blocks with these hashes get a neighbour's.
  static constexpr std::uint64_t kEmpty = 0;
  static constexpr std::uint64_t kRemoved = 1;
  static constexpr std::size_t kLine = 64 / sizeof(OwnerEntry);  // entries of a cache line

  // At least `count` entries; with runs, each has room for the number of its run.
  OwnerSlots(std::size_t count, bool with_runs);
  ~OwnerSlots();
  OwnerSlots(const OwnerSlots&) = delete;

  OwnerEntry* entries = nullptr;
  std::atomic<std::uint32_t>* runs = nullptr;  // by place; 0: none. Null without runs
  std::size_t size = 0;

  std::size_t bytes() const {
    return size * (sizeof(OwnerEntry) + (runs != nullptr ? sizeof(std::uint32_t) : 0));
  }
  std::size_t home(std::uint64_t mixed_hash) const { return scaled(mixed_hash, size / kLine) * kLine; }
  std::size_t after_line(std::size_t line) const { return line + kLine == size ? 0 : line + kLine; }
  std::size_t after(std::size_t place) const { return place + 1 == size ? 0 : place + 1; }
  std::size_t before(std::size_t place) const { return place == 0 ? size - 1 : place - 1; }

 private:
  void* memory_;
  std::size_t memory_size_;
};

}  // namespace llmd::kvcache
