// Small models with random weights for tests, written as safetensors folders or GGUF files, and a
// straight-line implementation in double precision to compare with. Shares no code with the engine except the
// decoding of quantised blocks, which has tests of its own.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/model/model.h"
#include "modelfile/tensor.h"

namespace llmd::engine::testing {

struct ModelShape {
  std::string label;
  Family family = Family::Llama;
  int vocab = 67;
  int hidden = 64;
  int layers = 2;
  int heads = 4;
  int kv_heads = 2;
  int head_dim = 16;
  int feed_forward = 96;
  bool tied = false;
  std::string rope_scaling;  // JSON object or empty
};

struct RandomTensor {
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

struct RandomModel {
  ModelShape shape;
  std::map<std::string, RandomTensor> tensors;  // Hugging Face names and row order
};

// Normal weights with deviation 1/sqrt(columns); norm weights near 1; biases not 0.
RandomModel make_random_model(const ModelShape& shape, unsigned seed);

// A folder of its own that is removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Both round the model's values to what they stored, so that the reference sees the same weights.
void write_safetensors(RandomModel& model, const std::filesystem::path& folder, modelfile::TensorType type,
                       int shards);
void write_gguf(RandomModel& model, const std::filesystem::path& file, modelfile::TensorType matrices);

// One safetensors file of F32 tensors.
void write_safetensors_file(const std::filesystem::path& file,
                            const std::map<std::string, RandomTensor>& tensors, modelfile::TensorType type);

// A low-rank change per matrix name ("model.layers.0.self_attn.q_proj"); the reference multiplies it out.
struct RandomLora {
  int rank = 4;
  double scale = 2;
  std::map<std::string, RandomTensor> a;  // rank x columns
  std::map<std::string, RandomTensor> b;  // rows x rank
};

// Logits of every position: tokens.size() rows of vocab values.
std::vector<double> reference_logits(const RandomModel& model, std::span<const Token> tokens,
                                     const RandomLora* lora = nullptr);

}  // namespace llmd::engine::testing
