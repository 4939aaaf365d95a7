// Working memory of a step. Rows are padded with zeros that stay zero: kernels compute over the padding.
#pragma once

#include <vector>

#include "engine/kernels/aligned_buffer.h"
#include "engine/kernels/kernels.h"
#include "engine/model/batch.h"
#include "engine/model/model.h"

namespace llmd::engine {

// A matrix of floats in memory that Scratch owns.
struct Rows {
  float* data = nullptr;
  std::ptrdiff_t stride = 0;
  float* row(int index) const { return data + index * stride; }
};

class Scratch {
 public:
  // `threads` score areas; grow_scores() makes them long enough. `with_wide`: quantised rows have
  // QuantRows::wide.
  Scratch(const ModelConfig& config, int threads, bool with_wide);

  Rows hidden;  // the residual stream
  Rows normal;  // normalised input of attention, feed-forward and head
  Rows query;   // query | key | value of a token, each part padded
  std::ptrdiff_t key_offset = 0;
  std::ptrdiff_t value_offset = 0;
  Rows attention;  // output of the heads
  Rows gate;       // gate | up
  std::ptrdiff_t up_offset = 0;
  Rows product;  // silu(gate) * up
  Rows cosine;
  Rows sine;
  Rows low_rank;  // adapters: kLoraTargets parts of `low_rank_width`
  std::ptrdiff_t low_rank_width = 0;

  // The quantised rows share memory: one phase at a time fills and reads them.
  QuantRows quantised(int columns) const;

  void grow_scores(std::ptrdiff_t slots);
  void grow_low_rank(int rank);
  float* scores(int worker) const { return scores_.as<float>() + worker * kMaxAttentionRows * score_stride_; }
  std::ptrdiff_t score_stride() const { return score_stride_; }

 private:
  Rows make(int columns);

  const int threads_;
  std::vector<AlignedBuffer> memory_;
  QuantRows quantised_;
  AlignedBuffer scores_;
  std::ptrdiff_t score_stride_ = 0;
};

}  // namespace llmd::engine
