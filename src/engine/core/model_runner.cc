#include "engine/core/model_runner.h"

namespace llmd::engine {

ModelRunner::ModelRunner(Model& model, std::unique_ptr<KvCache> cache, std::vector<Token> end_tokens)
    : model_(model), cache_(std::move(cache)), sampler_(model.config().vocab_size, std::move(end_tokens)) {}

void ModelRunner::run(std::span<const Chunk> chunks, std::span<ChunkResult> results) {
  batch_.clear();
  std::size_t rows = 0;
  for (const Chunk& chunk : chunks) {
    const Sequence& sequence = *chunk.sequence;
    const bool scores = sequence.params.prompt_logprobs && sequence.in_prompt();
    const int logit_rows = scores ? chunk.tokens : chunk.samples ? 1 : 0;
    batch_.push_back({.tokens = std::span(sequence.tokens)
                                    .subspan(static_cast<std::size_t>(sequence.computed),
                                             static_cast<std::size_t>(chunk.tokens)),
                      .position = sequence.computed,
                      .block_table = sequence.blocks,
                      .logit_rows = logit_rows,
                      .adapter = sequence.adapter});
    rows += static_cast<std::size_t>(logit_rows);
  }
  logits_.resize(rows * static_cast<std::size_t>(model_.config().vocab_size));
  model_.forward(batch_, *cache_, logits_);
  std::size_t next = 0;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    if (chunks[i].sequence->params.prompt_logprobs && chunks[i].sequence->in_prompt()) {
      score_prompt(chunks[i], next, results[i]);
    }
    next += static_cast<std::size_t>(batch_[i].logit_rows);
    if (chunks[i].samples && chunks[i].sequence->params.max_tokens > 0) {
      sample(*chunks[i].sequence, row(next - 1), results[i]);
    }
  }
}

std::span<float> ModelRunner::row(std::size_t index) {
  const auto width = static_cast<std::size_t>(model_.config().vocab_size);
  return std::span(logits_).subspan(index * width, width);
}

void ModelRunner::score_prompt(const Chunk& chunk, std::size_t first_row, ChunkResult& result) {
  const Sequence& sequence = *chunk.sequence;
  for (int i = 0; i < chunk.tokens; ++i) {
    const int next = sequence.computed + i + 1;
    if (next < sequence.prompt_length) {
      result.prompt_logprobs.push_back(sampler_.score(row(first_row + static_cast<std::size_t>(i)),
                                                      sequence.tokens[static_cast<std::size_t>(next)],
                                                      *sequence.params.prompt_logprobs));
    }
  }
}

void ModelRunner::sample(const Sequence& sequence, std::span<float> logits, ChunkResult& result) {
  if (!sequence.params.logprobs) {
    result.token = sampler_.sample(sequence, logits);
    return;
  }
  // The log-probabilities shown are the model's own, before bias, penalties and temperature.
  const std::vector<float> raw(logits.begin(), logits.end());
  result.token = sampler_.sample(sequence, logits);
  result.logprobs = sampler_.score(raw, result.token, *sequence.params.logprobs);
}

}  // namespace llmd::engine
