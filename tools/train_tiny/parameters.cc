#include "train_tiny/parameters.h"

#include <bit>
#include <cmath>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "train_tiny/random.h"

namespace llmd::train_tiny {

Layout::Layout(const Shape& shape) {
  const auto place = [this](std::string name, int rows, int columns) {
    Weight weight{std::move(name), rows, columns, total};
    total += weight.size();
    return weight;
  };
  embedding = place("model.embed_tokens.weight", shape.vocabulary, shape.hidden);
  for (int i = 0; i < shape.layers; ++i) {
    const auto at = [i](std::string_view part) { return fmt::format("model.layers.{}.{}.weight", i, part); };
    LayerWeights layer;
    layer.attention_norm = place(at("input_layernorm"), 1, shape.hidden);
    layer.q = place(at("self_attn.q_proj"), shape.query_width(), shape.hidden);
    layer.k = place(at("self_attn.k_proj"), shape.kv_width(), shape.hidden);
    layer.v = place(at("self_attn.v_proj"), shape.kv_width(), shape.hidden);
    layer.o = place(at("self_attn.o_proj"), shape.hidden, shape.query_width());
    layer.ffn_norm = place(at("post_attention_layernorm"), 1, shape.hidden);
    layer.gate = place(at("mlp.gate_proj"), shape.ffn, shape.hidden);
    layer.up = place(at("mlp.up_proj"), shape.ffn, shape.hidden);
    layer.down = place(at("mlp.down_proj"), shape.hidden, shape.ffn);
    layers.push_back(std::move(layer));
  }
  final_norm = place("model.norm.weight", 1, shape.hidden);
}

std::vector<Weight> Layout::all() const {
  std::vector<Weight> weights{embedding};
  for (const LayerWeights& l : layers) {
    weights.insert(weights.end(), {l.attention_norm, l.q, l.k, l.v, l.o, l.ffn_norm, l.gate, l.up, l.down});
  }
  weights.push_back(final_norm);
  return weights;
}

std::vector<float> initial_weights(const Shape& shape, std::uint64_t seed) {
  const Layout layout(shape);
  std::vector<float> values(layout.total);
  Random random(seed);
  for (const Weight& weight : layout.all()) {
    // The branches that add to the residual stream start small, so that depth does not inflate it.
    const bool adds_to_residual = weight.name.contains("o_proj") || weight.name.contains("down_proj");
    const double spread = weight.name.contains("embed") ? 0.05 : 0.7 / std::sqrt(weight.columns);
    const double scale = adds_to_residual ? spread / std::sqrt(2.0 * shape.layers) : spread;
    for (std::size_t i = 0; i < weight.size(); ++i) {
      values[weight.offset + i] = weight.rows == 1 ? 1.0F : static_cast<float>(scale) * random.normal();
    }
  }
  return values;
}

std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);  // nearest, ties to even
}

float from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

void round_to_bf16(std::vector<float>& values) {
  for (float& value : values) {
    value = from_bf16(to_bf16(value));
  }
}

}  // namespace llmd::train_tiny
