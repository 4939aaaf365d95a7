// The model's shape and where each weight lives. All weights of a model are one flat float array, and so are
// its gradients and the optimiser's moments: one layout describes them all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace llmd::train_tiny {

// Llama: RMSNorm, half-split rope, grouped-query attention, SwiGLU, tied embedding and head.
struct Shape {
  int vocabulary = 264;
  int hidden = 128;
  int layers = 4;
  int heads = 4;
  int kv_heads = 2;
  int head_dim = 32;
  int ffn = 384;
  int max_positions = 512;
  double rope_theta = 10000;
  float norm_epsilon = 1e-5F;

  int query_width() const { return heads * head_dim; }
  int kv_width() const { return kv_heads * head_dim; }
};

// One weight, row-major [rows, columns] = [outputs, inputs]; norm weights have rows == 1.
struct Weight {
  std::string name;  // as in a checkpoint: "model.layers.0.self_attn.q_proj.weight"
  int rows = 0;
  int columns = 0;
  std::size_t offset = 0;  // in floats, from the start of the flat array

  std::size_t size() const { return static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns); }
};

struct LayerWeights {
  Weight attention_norm, q, k, v, o, ffn_norm, gate, up, down;
};

struct Layout {
  explicit Layout(const Shape& shape);

  Weight embedding, final_norm;
  std::vector<LayerWeights> layers;
  std::size_t total = 0;

  std::vector<Weight> all() const;  // in file order
};

// Fresh weights: normal around 0, norms at 1.
std::vector<float> initial_weights(const Shape& shape, std::uint64_t seed);

// Rounds to the nearest bfloat16 and back, as a checkpoint will hold them.
std::uint16_t to_bf16(float value);
float from_bf16(std::uint16_t bits);
void round_to_bf16(std::vector<float>& values);

}  // namespace llmd::train_tiny
