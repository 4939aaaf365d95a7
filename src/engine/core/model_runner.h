// Runs the chunks of a step through a model and samples the next tokens.
#pragma once

#include <memory>
#include <vector>

#include "engine/core/runner.h"

namespace llmd::engine {

class ModelRunner final : public Runner {
 public:
  // The model must outlive the runner, which owns the cache.
  ModelRunner(Model& model, std::unique_ptr<KvCache> cache, std::vector<Token> end_tokens);
  void run(std::span<const Chunk> chunks, std::span<ChunkResult> results) override;

 private:
  std::span<float> row(std::size_t index);
  void score_prompt(const Chunk& chunk, std::size_t first_row, ChunkResult& result);
  void sample(const Sequence& sequence, std::span<float> logits, ChunkResult& result);

  Model& model_;
  std::unique_ptr<KvCache> cache_;
  Sampler sampler_;
  std::vector<SequenceChunk> batch_;
  std::vector<float> logits_;
};

}  // namespace llmd::engine
