// A decoder model and its paged KV cache: tokens in, logits out. Knows nothing of requests, text or HTTP.
//
// The promise everything else is built on: the logits of a token depend only on its own sequence. Who shares
// the batch, how a prompt is cut into chunks, which blocks the cache hands out and how many threads compute
// changes no bit of them (docs/adr/0003-batch-invariance.md).
//
// Threads: forward() is called by one thread (the engine's scheduler) and spreads its work over the model's
// own pool. Everything else is const and may be called from anywhere.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace llmd::engine {

using Token = std::int32_t;

enum class Family { Llama, Qwen2 };

// What the file says about the model, whatever its container. Counts are elements, not bytes.
struct ModelConfig {
  Family family = Family::Llama;
  std::string name;  // general.name or the folder's name; for people
  int vocab_size = 0;
  int hidden_size = 0;
  int layers = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int feed_forward = 0;
  int max_positions = 0;  // context length the model was trained for
  float rope_theta = 10000;
  float norm_epsilon = 1e-5F;
  bool tied_embeddings = false;
};

// Blocks of `block_size` token positions; a block holds keys and values of all layers for those positions.
// Block numbers are 0 .. blocks-1; who owns which is the block manager's business.
class KvCache {
 public:
  virtual ~KvCache() = default;
  virtual int blocks() const = 0;
  virtual int block_size() const = 0;
  virtual std::size_t bytes() const = 0;
};

// Low-rank update of some matrices: y += scale * B(A x). Loaded from adapter_config.json +
// adapter_model.safetensors.
class LoraAdapter {
 public:
  virtual ~LoraAdapter() = default;
  virtual int rank() const = 0;
};

// The next tokens of one sequence in one step.
struct SequenceChunk {
  std::span<const Token> tokens;         // at least one
  int position = 0;                      // of tokens[0] in the sequence; everything before is in the cache
  std::span<const int> block_table;      // covers positions 0 .. position + tokens.size() - 1
  int logit_rows = 0;                    // logits wanted for the last this-many tokens of the chunk (0: none)
  const LoraAdapter* adapter = nullptr;  // null: the base model
};

struct LoadOptions {
  int threads = 0;  // 0: one per core this process may use (affinity mask and cgroup quota)
};

class Model {
 public:
  virtual ~Model() = default;

  virtual const ModelConfig& config() const = 0;
  virtual std::unique_ptr<KvCache> make_kv_cache(int blocks, int block_size) const = 0;
  // Bytes one block of this size needs: for sizing the cache from a memory budget.
  virtual std::size_t kv_block_bytes(int block_size) const = 0;
  // Runs one step. `logits` has (sum of logit_rows) rows of vocab_size floats, chunk by chunk in batch order.
  virtual void forward(std::span<const SequenceChunk> batch, KvCache& cache, std::span<float> logits) = 0;
  virtual Result<std::unique_ptr<LoraAdapter>> load_adapter(const std::filesystem::path& folder) const = 0;
  // "avx512-vnni", "avx2" or "scalar": the kernels in use, for logs and /metrics.
  virtual std::string_view kernels() const = 0;
};

// `path`: a .gguf file, a folder that contains one .gguf file, or a folder with config.json and safetensors
// (single or sharded). Errors name the file and the tensor or key.
Result<std::unique_ptr<Model>> load_model(const std::filesystem::path& path, const LoadOptions& options = {});

}  // namespace llmd::engine
