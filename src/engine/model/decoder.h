// One step of the decoder over one piece of a batch: embedding, layers, head.
#pragma once

#include <span>
#include <vector>

#include "engine/kernels/compute_pool.h"
#include "engine/kernels/kernels.h"
#include "engine/model/batch.h"
#include "engine/model/paged_cache.h"
#include "engine/model/scratch.h"
#include "engine/model/weights.h"

namespace llmd::engine {

// What does not change from step to step.
struct DecoderParts {
  const ModelConfig& config;
  const std::vector<float>& frequencies;
  const Weights& weights;
  const Kernels& kernels;
};

// Lives for one piece. run() is executed by all workers of a pool together; shared loops end in barriers, so
// every stage sees what the one before wrote.
class Decoder {
 public:
  Decoder(const DecoderParts& parts, Scratch& scratch, const PagedCache& cache, const Piece& piece,
          std::span<float> logits);

  void run(Worker& worker) const;

 private:
  // A product of one matrix with the piece's rows (or some of them).
  struct Product {
    const Linear* linear;
    float* out;
    std::ptrdiff_t out_stride;
    bool accumulate = false;
  };
  struct Input {
    QuantRows quantised;
    Rows rows;
    int count = 0;
  };
  // Query rows of some tokens of one sequence that share one key/value head.
  struct AttentionUnit {
    int first_row = 0;
    int rows = 0;
    int kv_head = 0;
  };

  int tokens() const { return static_cast<int>(piece_.tokens.size()); }
  Input input(const Rows& rows, int columns) const { return {scratch_.quantised(columns), rows, tokens()}; }

  void embed(Worker& worker) const;
  void normalise(Worker& worker, const std::vector<float>& norm) const;
  void layer(Worker& worker, int index) const;
  void head(Worker& worker) const;

  void multiply(Worker& worker, std::span<const Product> products, const Input& in) const;
  // Rows first .. first + count - 1 of the matrix, as far as there are so many.
  void multiply_rows(const Product& product, int first, int count, const Input& in) const;
  // Adds the adapters' low-rank products to `out`, one per target; `in` are the float rows the base saw.
  struct Adapted {
    LoraTarget target;
    float* out;
    std::ptrdiff_t out_stride;
  };
  void adapt(Worker& worker, int layer, std::span<const Adapted> targets, const Rows& in) const;

  void rotate_and_store(int layer, int row) const;
  void attend(Worker& worker, int layer, const AttentionUnit& unit) const;
  void plan_attention();

  const DecoderParts& parts_;
  const ModelConfig& config_;
  const Kernels& kernels_;
  Scratch& scratch_;
  const PagedCache& cache_;
  const Piece& piece_;
  const std::span<float> logits_;
  std::vector<AttentionUnit> attention_units_;
};

}  // namespace llmd::engine
