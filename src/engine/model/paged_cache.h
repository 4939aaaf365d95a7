// The KV cache in memory. A block is one contiguous piece (so that it can be sent elsewhere with one copy):
//
//   [layer][kv head] { keys [group of 16 positions][dimension][16] | values [position][dimension padded to
//   16] }
//
// in half floats. Positions are padded to groups of 16, so block sizes that are no multiple of 16 waste the
// rest. Half floats halve what a decode step reads per past token; a key or value is rounded once, when it is
// written.
#pragma once

#include "engine/kernels/aligned_buffer.h"
#include "engine/kernels/kernels.h"
#include "engine/model/model.h"

namespace llmd::engine {

struct CacheShape {
  int layers = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int block_size = 0;

  // In elements.
  std::ptrdiff_t positions() const { return (block_size + kKeyGroup - 1) / kKeyGroup * kKeyGroup; }
  std::ptrdiff_t value_width() const { return (head_dim + kKeyGroup - 1) / kKeyGroup * kKeyGroup; }
  std::ptrdiff_t key_part() const { return positions() * head_dim; }
  std::ptrdiff_t head_part() const { return key_part() + positions() * value_width(); }
  std::ptrdiff_t block_part() const { return head_part() * kv_heads * layers; }
};

class PagedCache final : public KvCache {
 public:
  PagedCache(const CacheShape& shape, int blocks)
      : shape_(shape),
        blocks_(blocks),
        memory_(static_cast<std::size_t>(shape.block_part()) * static_cast<std::size_t>(blocks) *
                sizeof(std::uint16_t)) {}

  int blocks() const override { return blocks_; }
  int block_size() const override { return shape_.block_size; }
  std::size_t bytes() const override { return memory_.bytes(); }

  const CacheShape& shape() const { return shape_; }
  // The part of block 0 that belongs to one head of one layer.
  std::uint16_t* head(int layer, int kv_head) const {
    return memory_.as<std::uint16_t>() +
           (static_cast<std::ptrdiff_t>(layer) * shape_.kv_heads + kv_head) * shape_.head_part();
  }

 private:
  const CacheShape shape_;
  const int blocks_;
  AlignedBuffer memory_;
};

}  // namespace llmd::engine
