// The model once more, as the textbook has it: double precision, one loop per sum, no cache, no batch.

#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include "engine/model/random_model.h"

namespace llmd::engine::testing {
namespace {

using Row = std::vector<double>;

class Reference {
 public:
  Reference(const RandomModel& model, const RandomLora* lora)
      : model_(model), shape_(model.shape), lora_(lora) {}

  std::vector<double> logits(std::span<const Token> tokens) {
    std::vector<Row> x;
    const RandomTensor& embedding = model_.tensors.at("model.embed_tokens.weight");
    for (const Token token : tokens) {
      const auto at = static_cast<std::size_t>(token) * static_cast<std::size_t>(shape_.hidden);
      x.emplace_back(embedding.values.begin() + static_cast<std::ptrdiff_t>(at),
                     embedding.values.begin() + static_cast<std::ptrdiff_t>(at) + shape_.hidden);
    }
    for (int i = 0; i < shape_.layers; ++i) {
      const std::string layer = fmt::format("model.layers.{}.", i);
      attention(layer, x);
      feed_forward(layer, x);
    }
    std::vector<double> all;
    for (const Row& row : x) {
      const std::string head = shape_.tied ? "model.embed_tokens" : "lm_head";
      const Row out = multiply(head, normal(row, "model.norm.weight"));
      all.insert(all.end(), out.begin(), out.end());
    }
    return all;
  }

 private:
  static Row product(const RandomTensor& matrix, const Row& x) {
    Row out(static_cast<std::size_t>(matrix.shape[0]), 0.0);
    for (std::size_t r = 0; r < out.size(); ++r) {
      for (std::size_t c = 0; c < x.size(); ++c) {
        out[r] += static_cast<double>(matrix.values[r * x.size() + c]) * x[c];
      }
    }
    return out;
  }

  Row multiply(const std::string& name, const Row& x) const {
    Row out = product(model_.tensors.at(name + ".weight"), x);
    if (const auto bias = model_.tensors.find(name + ".bias"); bias != model_.tensors.end()) {
      for (std::size_t r = 0; r < out.size(); ++r) {
        out[r] += static_cast<double>(bias->second.values[r]);
      }
    }
    if (lora_ != nullptr && lora_->a.contains(name)) {
      const Row delta = product(lora_->b.at(name), product(lora_->a.at(name), x));
      for (std::size_t r = 0; r < out.size(); ++r) {
        out[r] += lora_->scale * delta[r];
      }
    }
    return out;
  }

  Row normal(const Row& x, const std::string& name) const {
    double squares = 0;
    for (const double value : x) {
      squares += value * value;
    }
    const double root = std::sqrt(squares / static_cast<double>(x.size()) + 1e-5);
    Row out(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      out[i] = x[i] / root * static_cast<double>(model_.tensors.at(name).values[i]);
    }
    return out;
  }

  double frequency(int pair) const {
    const double plain = std::pow(10000.0, -2.0 * pair / shape_.head_dim);
    if (shape_.rope_scaling.find("linear") != std::string::npos) {
      return plain / 4;  // the factor the tests use
    }
    if (shape_.rope_scaling.find("llama3") != std::string::npos) {
      // The tests use factor 8, low 1, high 4, original 64.
      const double wavelength = 2 * std::numbers::pi / plain;
      const double smooth = (64 / wavelength - 1) / 3;
      return wavelength < 16 ? plain : wavelength > 64 ? plain / 8 : plain * ((1 - smooth) / 8 + smooth);
    }
    return plain;
  }

  void rotate(Row& x, std::size_t position) const {
    const int half = shape_.head_dim / 2;
    for (std::size_t head = 0; head < x.size(); head += static_cast<std::size_t>(shape_.head_dim)) {
      for (int i = 0; i < half; ++i) {
        const double angle = static_cast<double>(position) * frequency(i);
        double& a = x[head + static_cast<std::size_t>(i)];
        double& b = x[head + static_cast<std::size_t>(i + half)];
        const double first = a * std::cos(angle) - b * std::sin(angle);
        b = b * std::cos(angle) + a * std::sin(angle);
        a = first;
      }
    }
  }

  void attention(const std::string& layer, std::vector<Row>& x) const {
    std::vector<Row> queries;
    std::vector<Row> keys;
    std::vector<Row> values;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const Row in = normal(x[i], layer + "input_layernorm.weight");
      queries.push_back(multiply(layer + "self_attn.q_proj", in));
      keys.push_back(multiply(layer + "self_attn.k_proj", in));
      values.push_back(multiply(layer + "self_attn.v_proj", in));
      rotate(queries.back(), i);
      rotate(keys.back(), i);
    }
    const auto dim = static_cast<std::size_t>(shape_.head_dim);
    for (std::size_t i = 0; i < x.size(); ++i) {
      Row mixed(queries[i].size(), 0.0);
      for (std::size_t head = 0; head < static_cast<std::size_t>(shape_.heads); ++head) {
        const std::size_t kv = head / static_cast<std::size_t>(shape_.heads / shape_.kv_heads);
        Row weights;
        double total = 0;
        for (std::size_t j = 0; j <= i; ++j) {
          double score = 0;
          for (std::size_t d = 0; d < dim; ++d) {
            score += queries[i][head * dim + d] * keys[j][kv * dim + d];
          }
          weights.push_back(std::exp(score / std::sqrt(static_cast<double>(dim))));
          total += weights.back();
        }
        for (std::size_t j = 0; j <= i; ++j) {
          for (std::size_t d = 0; d < dim; ++d) {
            mixed[head * dim + d] += weights[j] / total * values[j][kv * dim + d];
          }
        }
      }
      add(x[i], multiply(layer + "self_attn.o_proj", mixed));
    }
  }

  void feed_forward(const std::string& layer, std::vector<Row>& x) const {
    for (Row& row : x) {
      const Row in = normal(row, layer + "post_attention_layernorm.weight");
      Row gate = multiply(layer + "mlp.gate_proj", in);
      const Row up = multiply(layer + "mlp.up_proj", in);
      for (std::size_t i = 0; i < gate.size(); ++i) {
        gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
      }
      add(row, multiply(layer + "mlp.down_proj", gate));
    }
  }

  static void add(Row& to, const Row& from) {
    for (std::size_t i = 0; i < to.size(); ++i) {
      to[i] += from[i];
    }
  }

  const RandomModel& model_;
  const ModelShape& shape_;
  const RandomLora* lora_;
};

}  // namespace

std::vector<double> reference_logits(const RandomModel& model, std::span<const Token> tokens,
                                     const RandomLora* lora) {
  return Reference(model, lora).logits(tokens);
}

}  // namespace llmd::engine::testing
