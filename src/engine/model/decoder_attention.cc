// The attention stages of the decoder: rotation, writing keys and values, reading them back.

#include <algorithm>

#include "engine/model/decoder.h"

namespace llmd::engine {

void Decoder::plan_attention() {
  const int group = config_.heads / config_.kv_heads;
  const int step = std::max(1, kMaxAttentionRows / group);
  std::ptrdiff_t slots = 0;
  for (const Segment& segment : piece_.segments) {
    for (int row = 0; row < segment.rows; row += step) {
      for (int kv_head = 0; kv_head < config_.kv_heads; ++kv_head) {
        attention_units_.push_back({segment.first_row + row, std::min(step, segment.rows - row), kv_head});
      }
    }
    const int blocks = (segment.position + segment.rows + cache_.block_size() - 1) / cache_.block_size();
    slots = std::max(slots, blocks * cache_.shape().positions());
  }
  scratch_.grow_scores(slots);
}

void Decoder::rotate_and_store(int layer, int row) const {
  const int dim = config_.head_dim;
  const float* const cosine = scratch_.cosine.row(row);
  const float* const sine = scratch_.sine.row(row);
  float* const query = scratch_.query.row(row);
  for (int head = 0; head < config_.heads; ++head) {
    kernels_.rotate(query + static_cast<std::ptrdiff_t>(head) * dim, cosine, sine, dim / 2);
  }
  const CacheShape& shape = cache_.shape();
  const int position = piece_.positions[static_cast<std::size_t>(row)];
  const Segment& segment =
      piece_.segments[static_cast<std::size_t>(piece_.segment_of[static_cast<std::size_t>(row)])];
  const int block = segment.block_table[static_cast<std::size_t>(position / shape.block_size)];
  const int offset = position % shape.block_size;
  std::uint16_t half[1024];  // check() bounds head_dim
  for (int head = 0; head < config_.kv_heads; ++head) {
    float* const key = query + scratch_.key_offset + static_cast<std::ptrdiff_t>(head) * dim;
    const float* const value = query + scratch_.value_offset + static_cast<std::ptrdiff_t>(head) * dim;
    std::uint16_t* const keys = cache_.head(layer, head) + block * shape.block_part();
    kernels_.rotate(key, cosine, sine, dim / 2);
    kernels_.to_half(key, dim, half);
    std::uint16_t* const column =
        keys + static_cast<std::ptrdiff_t>(offset / kKeyGroup) * kKeyGroup * dim + offset % kKeyGroup;
    for (int d = 0; d < dim; ++d) {
      column[static_cast<std::ptrdiff_t>(d) * kKeyGroup] = half[d];
    }
    kernels_.to_half(value, dim, keys + shape.key_part() + offset * shape.value_width());
  }
}

void Decoder::attend(Worker& worker, int layer, const AttentionUnit& unit) const {
  const int dim = config_.head_dim;
  const int group = config_.heads / config_.kv_heads;
  const CacheShape& shape = cache_.shape();
  const Segment& segment =
      piece_.segments[static_cast<std::size_t>(piece_.segment_of[static_cast<std::size_t>(unit.first_row)])];
  const float* queries[kMaxAttentionRows];
  float* outs[kMaxAttentionRows];
  int lengths[kMaxAttentionRows];
  float scale = 1.0F;
  scale /= __builtin_sqrtf(static_cast<float>(dim));
  AttentionCall call{.keys = cache_.head(layer, unit.kv_head),
                     .block_stride = shape.block_part(),
                     .values = shape.key_part(),
                     .block_table = segment.block_table.data(),
                     .block_size = shape.block_size,
                     .head_dim = dim,
                     .scale = scale,
                     .rows = 0,
                     .queries = queries,
                     .out = outs,
                     .lengths = lengths,
                     .scores = scratch_.scores(worker.index()),
                     .score_stride = scratch_.score_stride()};
  for (int i = 0; i < unit.rows * group; ++i) {
    const int row = unit.first_row + i / group;
    const std::ptrdiff_t head = static_cast<std::ptrdiff_t>(unit.kv_head) * group + i % group;
    queries[call.rows] = scratch_.query.row(row) + head * dim;
    outs[call.rows] = scratch_.attention.row(row) + head * dim;
    lengths[call.rows] = piece_.positions[static_cast<std::size_t>(row)] + 1;
    if (++call.rows == kMaxAttentionRows || i + 1 == unit.rows * group) {
      kernels_.attend(call);
      call.rows = 0;
    }
  }
}

}  // namespace llmd::engine
