#include "train_tiny/model.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"
#include "train_tiny/gemm.h"

namespace llmd::train_tiny {
namespace {

// y = x W^T for x[count, W.columns].
void linear(int count, const Weight& weight, const float* weights, const float* x, float* y,
            Store store = Store::Replace) {
  gemm(count, weight.rows, weight.columns, rows(x, weight.columns),
       transposed(weights + weight.offset, weight.columns), y, weight.rows, store);
}

// dx = or += dy W, and dW += dy^T x.
void linear_backward(int count, const Weight& weight, const float* weights, const float* x, const float* dy,
                     float* dx, Store store, float* gradient) {
  gemm(count, weight.columns, weight.rows, rows(dy, weight.rows),
       rows(weights + weight.offset, weight.columns), dx, weight.columns, store);
  gemm(weight.rows, weight.columns, count, transposed(dy, weight.rows), rows(x, weight.columns),
       gradient + weight.offset, weight.columns, Store::Add);
}

}  // namespace

Workspace::Workspace(const Shape& shape, int max_tokens)
    : shape_(shape),
      layout_(shape),
      rope_(shape, max_tokens),
      layers_(static_cast<std::size_t>(shape.layers)) {
  const auto floats = [max_tokens](int width) {
    return std::vector<float>(static_cast<std::size_t>(max_tokens) * static_cast<std::size_t>(width));
  };
  for (LayerTrace& layer : layers_) {
    layer.input = layer.normed = layer.middle = layer.ffn_normed = floats(shape.hidden);
    layer.inverse_rms = layer.ffn_inverse_rms = floats(1);
    layer.q = layer.attended = floats(shape.query_width());
    layer.k = layer.v = floats(shape.kv_width());
    layer.probabilities = floats(shape.heads * max_tokens);
    layer.gate = layer.up = layer.activated = floats(shape.ffn);
  }
  output_ = output_normed_ = dx_ = dnormed_ = floats(shape.hidden);
  output_inverse_rms_ = floats(1);
  logits_ = floats(shape.vocabulary);
  dq_ = dattended_ = floats(shape.query_width());
  dk_ = dv_ = floats(shape.kv_width());
  dgate_ = dup_ = dactivated_ = floats(shape.ffn);
  dscores_ = floats(max_tokens);
}

std::span<const float> Workspace::forward(std::span<const float> weights, std::span<const Token> tokens) {
  const float* w = weights.data();
  const int n = count_ = static_cast<int>(tokens.size());
  LLMD_ASSERT(tokens.size() <= output_inverse_rms_.size(), "the sequence fits the workspace");
  const auto hidden = static_cast<std::size_t>(shape_.hidden);
  const auto values = static_cast<std::ptrdiff_t>(tokens.size() * hidden);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const float* row = w + layout_.embedding.offset + static_cast<std::size_t>(tokens[i]) * hidden;
    std::copy_n(row, hidden, output_.begin() + static_cast<std::ptrdiff_t>(i * hidden));
  }
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    LayerTrace& layer = layers_[i];
    const LayerWeights& at = layout_.layers[i];
    std::copy_n(output_.begin(), values, layer.input.begin());
    rms_norm(n, shape_.hidden, shape_.norm_epsilon, layer.input.data(), w + at.attention_norm.offset,
             layer.normed.data(), layer.inverse_rms.data());
    linear(n, at.q, w, layer.normed.data(), layer.q.data());
    linear(n, at.k, w, layer.normed.data(), layer.k.data());
    linear(n, at.v, w, layer.normed.data(), layer.v.data());
    rotate(n, shape_.heads, shape_.head_dim, rope_, Turn::Forward, layer.q.data());
    rotate(n, shape_.kv_heads, shape_.head_dim, rope_, Turn::Forward, layer.k.data());
    attend(layer);
    linear(n, at.o, w, layer.attended.data(), output_.data(), Store::Add);
    std::copy_n(output_.begin(), values, layer.middle.begin());
    rms_norm(n, shape_.hidden, shape_.norm_epsilon, layer.middle.data(), w + at.ffn_norm.offset,
             layer.ffn_normed.data(), layer.ffn_inverse_rms.data());
    linear(n, at.gate, w, layer.ffn_normed.data(), layer.gate.data());
    linear(n, at.up, w, layer.ffn_normed.data(), layer.up.data());
    swiglu(tokens.size() * static_cast<std::size_t>(shape_.ffn), layer.gate.data(), layer.up.data(),
           layer.activated.data());
    linear(n, at.down, w, layer.activated.data(), output_.data(), Store::Add);
  }
  rms_norm(n, shape_.hidden, shape_.norm_epsilon, output_.data(), w + layout_.final_norm.offset,
           output_normed_.data(), output_inverse_rms_.data());
  linear(n, layout_.embedding, w, output_normed_.data(), logits_.data());
  return std::span(logits_).first(tokens.size() * static_cast<std::size_t>(shape_.vocabulary));
}

double Workspace::cross_entropy(const Row& row, float scale) {
  double loss = 0;
  for (std::size_t i = 0; i < row.weights.size(); ++i) {
    float* logits = logits_.data() + i * static_cast<std::size_t>(shape_.vocabulary);
    const auto target = static_cast<std::size_t>(row.tokens[i + 1]);
    const float target_logit = logits[target];
    const float highest = *std::max_element(logits, logits + shape_.vocabulary);
    softmax(logits, shape_.vocabulary, shape_.vocabulary);
    // log p of the likeliest token is -log of the normaliser; softmax leaves its inverse there.
    const float top = *std::max_element(logits, logits + shape_.vocabulary);
    loss +=
        row.weights[i] * -(static_cast<double>(target_logit) - highest + std::log(static_cast<double>(top)));
    const float factor = scale * row.weights[i];
    logits[target] -= 1;
    for (int j = 0; j < shape_.vocabulary; ++j) {
      logits[j] *= factor;
    }
  }
  return loss;
}

double Workspace::loss(std::span<const float> weights, const Row& row) {
  forward(weights, std::span(row.tokens).first(row.weights.size()));
  return cross_entropy(row, 0);
}

double Workspace::loss_and_gradient(std::span<const float> weights, const Row& row, float scale,
                                    std::span<float> gradient) {
  forward(weights, std::span(row.tokens).first(row.weights.size()));
  const double loss = cross_entropy(row, scale);
  const float* w = weights.data();
  float* g = gradient.data();
  std::ranges::fill(dx_, 0.0F);
  linear_backward(count_, layout_.embedding, w, output_normed_.data(), logits_.data(), dnormed_.data(),
                  Store::Replace, g);
  rms_norm_backward(count_, shape_.hidden, output_.data(), w + layout_.final_norm.offset,
                    output_inverse_rms_.data(), dnormed_.data(), dx_.data(), g + layout_.final_norm.offset);
  for (std::size_t i = layers_.size(); i-- > 0;) {
    ffn_backward(layout_.layers[i], w, layers_[i], g);
    attention_backward(layout_.layers[i], w, layers_[i], g);
  }
  const auto hidden = static_cast<std::size_t>(shape_.hidden);
  for (std::size_t i = 0; i < row.weights.size(); ++i) {
    float* drow = g + layout_.embedding.offset + static_cast<std::size_t>(row.tokens[i]) * hidden;
    for (std::size_t j = 0; j < hidden; ++j) {
      drow[j] += dx_[i * hidden + j];
    }
  }
  return loss;
}

// dx_ is the gradient of the residual stream: the residual path keeps it, the branch adds to it.
void Workspace::ffn_backward(const LayerWeights& at, const float* w, const LayerTrace& layer, float* g) {
  linear_backward(count_, at.down, w, layer.activated.data(), dx_.data(), dactivated_.data(), Store::Replace,
                  g);
  swiglu_backward(static_cast<std::size_t>(count_) * static_cast<std::size_t>(shape_.ffn), layer.gate.data(),
                  layer.up.data(), dactivated_.data(), dgate_.data(), dup_.data());
  linear_backward(count_, at.gate, w, layer.ffn_normed.data(), dgate_.data(), dnormed_.data(), Store::Replace,
                  g);
  linear_backward(count_, at.up, w, layer.ffn_normed.data(), dup_.data(), dnormed_.data(), Store::Add, g);
  rms_norm_backward(count_, shape_.hidden, layer.middle.data(), w + at.ffn_norm.offset,
                    layer.ffn_inverse_rms.data(), dnormed_.data(), dx_.data(), g + at.ffn_norm.offset);
}

void Workspace::attention_backward(const LayerWeights& at, const float* w, const LayerTrace& layer,
                                   float* g) {
  linear_backward(count_, at.o, w, layer.attended.data(), dx_.data(), dattended_.data(), Store::Replace, g);
  std::ranges::fill(dk_, 0.0F);
  std::ranges::fill(dv_, 0.0F);
  attend_backward(layer, dattended_.data(), dq_.data(), dk_.data(), dv_.data());
  rotate(count_, shape_.heads, shape_.head_dim, rope_, Turn::Back, dq_.data());
  rotate(count_, shape_.kv_heads, shape_.head_dim, rope_, Turn::Back, dk_.data());
  linear_backward(count_, at.q, w, layer.normed.data(), dq_.data(), dnormed_.data(), Store::Replace, g);
  linear_backward(count_, at.k, w, layer.normed.data(), dk_.data(), dnormed_.data(), Store::Add, g);
  linear_backward(count_, at.v, w, layer.normed.data(), dv_.data(), dnormed_.data(), Store::Add, g);
  rms_norm_backward(count_, shape_.hidden, layer.input.data(), w + at.attention_norm.offset,
                    layer.inverse_rms.data(), dnormed_.data(), dx_.data(), g + at.attention_norm.offset);
}

}  // namespace llmd::train_tiny
