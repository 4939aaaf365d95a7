// Forward and backward pass over one sequence. A Workspace holds what the backward pass needs; each thread
// owns one.
#pragma once

#include <span>
#include <vector>

#include "train_tiny/ops.h"
#include "train_tiny/parameters.h"

namespace llmd::train_tiny {

using Token = int;

// A training example: predict tokens[i + 1] from tokens[0..i], counted `weights[i]` times in the loss.
struct Row {
  std::vector<Token> tokens;  // one more than weights
  std::vector<float> weights;
};

// What one layer computed, in order; all [tokens, width].
struct LayerTrace {
  std::vector<float> input, normed, inverse_rms, q, k, v, attended;
  std::vector<float> probabilities;  // [heads][tokens][tokens]
  std::vector<float> middle, ffn_normed, ffn_inverse_rms, gate, up, activated;
};

class Workspace {
 public:
  Workspace(const Shape& shape, int max_tokens);

  // Logits of every position: [tokens, vocabulary], valid until the next call.
  std::span<const float> forward(std::span<const float> weights, std::span<const Token> tokens);

  // The weighted sum of -log p(next token), in nats; adds `scale` times its gradient to `gradient`.
  double loss_and_gradient(std::span<const float> weights, const Row& row, float scale,
                           std::span<float> gradient);

  // The same sum without a gradient.
  double loss(std::span<const float> weights, const Row& row);

 private:
  void attend(LayerTrace& layer);
  // From d(attended) to dq, dk, dv; adds to the latter two.
  void attend_backward(const LayerTrace& layer, const float* dattended, float* dq, float* dk, float* dv);
  void ffn_backward(const LayerWeights& at, const float* weights, const LayerTrace& layer, float* gradient);
  void attention_backward(const LayerWeights& at, const float* weights, const LayerTrace& layer,
                          float* gradient);
  // Turns logits_ into d(loss)/d(logits) and returns the loss.
  double cross_entropy(const Row& row, float scale);

  Shape shape_;
  Layout layout_;
  RopeTable rope_;
  int count_ = 0;  // tokens of the current sequence
  std::vector<LayerTrace> layers_;
  std::vector<float> output_, output_normed_, output_inverse_rms_, logits_;
  std::vector<float> dx_, dnormed_, dq_, dk_, dv_, dattended_, dgate_, dup_, dactivated_, dscores_;
};

}  // namespace llmd::train_tiny
