// What fits into an accelerator's memory: weights, KV cache, activations.
//
//   weights per accelerator   = weights / (tensor x pipeline)
//   KV bytes per token        = layers x 2 x KV heads x head size x bytes; with latent attention layers x
//   latent x
//                               bytes. Per accelerator: layers / pipeline, KV heads / tensor (at least one;
//                               latent attention is not split). Layers with a window stop growing at its
//                               length.
//   left for the cache        = memory x utilization - weights - 3.6 GiB for activations and graphs
//   tokens of a replica       = what is left / KV bytes per token, in blocks of 16, times its data-parallel
//   copies needed at least           = (weights + 3.6 GiB + one sequence of the longest length) / utilization
//
// The 3.6 GiB are what the published capacity of Qwen3-32B on two H100 (307,328 tokens) leaves over.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "llmisvc/model_shape.h"
#include "llmisvc/service.h"

namespace llmd::llmisvc {

struct AcceleratorType {
  std::string name;
  double bytes = 0;  // of one, as its driver reports it
};

// By name (H100, h200, A100-40) or by size (80GB, 24GiB). InvalidArgument lists the known ones.
Result<AcceleratorType> accelerator_type(std::string_view name);

// What a model server's arguments say about memory.
struct EngineMemory {
  double utilization = 0.9;                  // vLLM's default; SGLang's is near it
  std::optional<long long> max_length = {};  // --max-model-len
  double kv_bytes = 2;                       // of one element: --kv-cache-dtype
  std::optional<double> weight_bytes = {};   // of one parameter, where an argument says so: --quantization
};
EngineMemory engine_memory(const Workload& workload);

struct Traffic {  // of a mean request
  double input_tokens = 1000;
  double output_tokens = 250;
  double shared_prefix = 0;  // share of the input that other requests have in common
};

struct MemoryNeed {
  double weights = 0;  // bytes per accelerator, as the rest
  double activations = 0;
  double kv_per_token = 0;
  double one_sequence = 0;  // KV of the longest sequence
  double at_least = 0;      // memory an accelerator must have
  long long length = 0;     // the longest sequence; 0: unknown, one_sequence is that of a mean request
};
MemoryNeed memory_need(const ModelShape& shape, const Parallelism& parallelism, const EngineMemory& engine,
                       const Traffic& traffic = {});

struct MemoryFit {
  bool fits = false;
  double for_cache = 0;     // bytes per accelerator; negative when the weights alone do not fit
  long long kv_tokens = 0;  // of a replica
  long long requests = 0;   // of mean size at once, of a replica
};
MemoryFit memory_fit(const MemoryNeed& need, const AcceleratorType& type, const Parallelism& parallelism,
                     const EngineMemory& engine, const Traffic& traffic = {});

// Proposals for a model that does not fit: a larger tensor size, fewer tokens, smaller weights.
std::string memory_advice(const ModelShape& shape, const Parallelism& parallelism, const EngineMemory& engine,
                          const AcceleratorType& type);

// "65.6 GiB" of bytes.
std::string gib(double bytes);

}  // namespace llmd::llmisvc
