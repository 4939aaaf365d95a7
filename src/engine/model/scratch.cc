#include "engine/model/scratch.h"

#include <algorithm>

#include "engine/model/weights.h"

namespace llmd::engine {

Scratch::Scratch(const ModelConfig& config, int threads, bool with_wide) : threads_(threads) {
  const int queries = padded(config.heads * config.head_dim);
  const int keys = padded(config.kv_heads * config.head_dim);
  const int wide = padded(config.feed_forward);
  hidden = make(config.hidden_size);
  normal = make(config.hidden_size);
  query = make(queries + 2 * keys);
  key_offset = queries;
  value_offset = queries + keys;
  attention = make(queries);
  gate = make(2 * wide);
  up_offset = wide;
  product = make(wide);
  cosine = make(config.head_dim / 2);
  sine = make(config.head_dim / 2);

  const auto blocks =
      static_cast<std::size_t>(std::max({padded(config.hidden_size), queries, wide}) / kQuantBlock) *
      kPieceTokens;
  const auto take = [this](std::size_t bytes) { return memory_.emplace_back(bytes).data(); };
  quantised_.codes = reinterpret_cast<std::int8_t*>(take(blocks * kQuantBlock));
  quantised_.scale = reinterpret_cast<float*>(take(blocks * sizeof(float)));
  quantised_.scaled_sum = reinterpret_cast<float*>(take(blocks * sizeof(float)));
  quantised_.negative_sum = reinterpret_cast<std::int32_t*>(take(blocks * sizeof(std::int32_t)));
  quantised_.negative_half_sum = reinterpret_cast<std::int32_t*>(take(2 * blocks * sizeof(std::int32_t)));
  if (with_wide) {
    quantised_.wide = reinterpret_cast<std::uint16_t*>(take(blocks * kQuantBlock * sizeof(std::uint16_t)));
  }
}

Rows Scratch::make(int columns) {
  const std::ptrdiff_t stride = padded(columns);
  return {memory_.emplace_back(static_cast<std::size_t>(stride) * kPieceTokens * sizeof(float)).as<float>(),
          stride};
}

QuantRows Scratch::quantised(int columns) const {
  QuantRows rows = quantised_;
  rows.blocks = padded(columns) / kQuantBlock;
  return rows;
}

void Scratch::grow_scores(std::ptrdiff_t slots) {
  if (slots <= score_stride_) {
    return;
  }
  score_stride_ = std::max(slots, 2 * score_stride_);
  scores_ = AlignedBuffer(static_cast<std::size_t>(score_stride_) * kMaxAttentionRows *
                          static_cast<std::size_t>(threads_) * sizeof(float));
}

void Scratch::grow_low_rank(int rank) {
  if (padded(rank) > low_rank_width) {
    low_rank_width = padded(rank);
    low_rank = make(static_cast<int>(low_rank_width) * kLoraTargets);
  }
}

}  // namespace llmd::engine
