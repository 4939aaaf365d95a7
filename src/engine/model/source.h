// One view on a model's files, whatever the container: configuration and tensors by role instead of by name.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/model/model.h"
#include "modelfile/tensor.h"

namespace llmd::engine {

enum class Part {
  Embedding,
  FinalNorm,
  Head,
  AttentionNorm,
  Query,
  Key,
  Value,
  Output,
  FeedForwardNorm,
  Gate,
  Up,
  Down,
  QueryBias,
  KeyBias,
  ValueBias,
};

class ModelSource {
 public:
  virtual ~ModelSource() = default;

  virtual const ModelConfig& config() const = 0;
  // Angle per position of each rotated pair: head_dim / 2 values, scaling applied.
  virtual const std::vector<float>& frequencies() const = 0;
  // Rows of query and key matrices stand in the order of interleaved rotation (pairs 2i, 2i+1) instead of
  // halves.
  virtual bool interleaved_rotation() const = 0;
  // Null when the file has none. The bytes live as long as the source.
  virtual const modelfile::TensorView* find(Part part, int layer) const = 0;
  // The name the container uses, for errors.
  virtual std::string name_of(Part part, int layer) const = 0;
};

Result<std::unique_ptr<ModelSource>> open_gguf_source(const std::filesystem::path& file);
Result<std::unique_ptr<ModelSource>> open_safetensors_source(const std::filesystem::path& folder);

// Finds out what `path` is (see load_model) and opens it.
Result<std::unique_ptr<ModelSource>> open_source(const std::filesystem::path& path);

// Every count positive, within bounds that keep products far from overflow, and heads a multiple of kv_heads.
Result<void> check(const ModelConfig& config);

}  // namespace llmd::engine
