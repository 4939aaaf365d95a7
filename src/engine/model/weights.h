// The weights of a model as the kernels want them. Built once at load, read-only afterwards.
#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "engine/kernels/aligned_buffer.h"
#include "engine/kernels/compute_pool.h"
#include "engine/kernels/packed_matrix.h"
#include "engine/model/source.h"

namespace llmd::engine {

// Rows of activations are padded with zeros to whole quantisation blocks.
constexpr int padded(int count) {
  return (count + kQuantBlock - 1) / kQuantBlock * kQuantBlock;
}

struct Linear {
  PackedMatrix matrix;
  std::vector<float> bias;  // empty: none
};

struct Layer {
  std::vector<float> attention_norm;  // padded
  Linear query;
  Linear key;
  Linear value;
  Linear output;
  std::vector<float> feed_forward_norm;  // padded
  Linear gate;
  Linear up;
  Linear down;
};

struct Weights {
  std::vector<Layer> layers;
  std::vector<float> final_norm;  // padded
  Linear head;
  modelfile::TensorView embedding;  // in the file, rows are decoded as tokens need them
  AlignedBuffer memory;             // of all matrices
};

// Repacks everything, using all threads of the pool. Errors name tensors. The embedding stays a view into
// `source`.
Result<Weights> load_weights(const ModelSource& source, ComputePool& pool);

}  // namespace llmd::engine
