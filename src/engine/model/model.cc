#include "engine/model/model.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/assert.h"
#include "engine/kernels/compute_pool.h"
#include "engine/kernels/cores.h"
#include "engine/kernels/kernels.h"
#include "engine/model/batch.h"
#include "engine/model/decoder.h"
#include "engine/model/lora.h"
#include "engine/model/paged_cache.h"
#include "engine/model/source.h"
#include "engine/model/weights.h"

namespace llmd::engine {
namespace {

class DecoderModel final : public Model {
 public:
  DecoderModel(std::unique_ptr<ModelSource> source, std::unique_ptr<ComputePool> pool, Weights weights,
               const Kernels& kernels)
      : source_(std::move(source)),
        pool_(std::move(pool)),
        weights_(std::move(weights)),
        parts_{source_->config(), source_->frequencies(), weights_, kernels},
        scratch_(source_->config(), pool_->threads(), kernels.set == InstructionSet::Amx) {}

  const ModelConfig& config() const override { return source_->config(); }

  std::unique_ptr<KvCache> make_kv_cache(int blocks, int block_size) const override {
    LLMD_ASSERT(blocks > 0 && block_size > 0, "a cache has blocks");
    return std::make_unique<PagedCache>(shape(block_size), blocks);
  }

  std::size_t kv_block_bytes(int block_size) const override {
    return static_cast<std::size_t>(shape(block_size).block_part()) * sizeof(std::uint16_t);
  }

  void forward(std::span<const SequenceChunk> batch, KvCache& cache, std::span<float> logits) override;

  Result<std::unique_ptr<LoraAdapter>> load_adapter(const std::filesystem::path& folder) const override {
    try {
      LLMD_TRY(auto adapter, load_lora(folder, config()));
      return adapter;
    } catch (const std::bad_alloc&) {
      return resource_exhausted("{}: not enough memory for the adapter", folder.string());
    }
  }

  std::string_view kernels() const override { return to_string(parts_.kernels.set); }

 private:
  CacheShape shape(int block_size) const {
    return {config().layers, config().kv_heads, config().head_dim, block_size};
  }

  const std::unique_ptr<ModelSource> source_;
  const std::unique_ptr<ComputePool> pool_;
  const Weights weights_;
  const DecoderParts parts_;
  Scratch scratch_;
};

void check_batch(std::span<const SequenceChunk> batch, const PagedCache& cache, const ModelConfig& config,
                 std::size_t logit_count) {
  std::size_t rows = 0;
  for (const SequenceChunk& chunk : batch) {
    const std::size_t end = static_cast<std::size_t>(chunk.position) + chunk.tokens.size();
    LLMD_ASSERT(!chunk.tokens.empty() && chunk.position >= 0, "a chunk has tokens at a position");
    LLMD_ASSERT(chunk.block_table.size() * static_cast<std::size_t>(cache.block_size()) >= end,
                "the block table covers the chunk");
    LLMD_ASSERT(chunk.logit_rows >= 0 && static_cast<std::size_t>(chunk.logit_rows) <= chunk.tokens.size(),
                "logits are wanted for tokens of the chunk");
    for (const Token token : chunk.tokens) {
      LLMD_ASSERT(token >= 0 && token < config.vocab_size, "tokens are in the vocabulary");
    }
    for (const int block : chunk.block_table) {
      LLMD_ASSERT(block >= 0 && block < cache.blocks(), "blocks are in the cache");
    }
    rows += static_cast<std::size_t>(chunk.logit_rows);
  }
  LLMD_ASSERT(logit_count >= rows * static_cast<std::size_t>(config.vocab_size),
              "there is room for the logits");
}

void DecoderModel::forward(std::span<const SequenceChunk> batch, KvCache& cache, std::span<float> logits) {
  const auto& paged = static_cast<PagedCache&>(cache);
  check_batch(batch, paged, config(), logits.size());
  for (const Piece& piece : cut_into_pieces(batch)) {
    for (const Segment& segment : piece.segments) {
      if (segment.adapter != nullptr) {
        scratch_.grow_low_rank(segment.adapter->rank());
      }
    }
    const Decoder decoder(parts_, scratch_, paged, piece, logits);
    pool_->run([&decoder](Worker& worker) { decoder.run(worker); });
  }
}

}  // namespace

Result<std::unique_ptr<Model>> load_model(const std::filesystem::path& path, const LoadOptions& options) {
  try {
    LLMD_TRY(const auto set, choose_instruction_set());
    LLMD_TRY(auto source, open_source(path));
    auto pool = std::make_unique<ComputePool>(options.threads > 0 ? options.threads : usable_cores());
    auto weights = load_weights(*source, *pool);
    if (!weights) {
      return std::move(weights).error().within(path.string());
    }
    return std::make_unique<DecoderModel>(std::move(source), std::move(pool), *std::move(weights),
                                          kernels_for(set));
  } catch (const std::bad_alloc&) {
    return resource_exhausted("{}: not enough memory for the weights", path.string());
  }
}

}  // namespace llmd::engine
