// The hand-written backward pass against finite differences of the forward pass.
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "train_tiny/lora.h"
#include "train_tiny/model.h"
#include "train_tiny/random.h"

namespace llmd::train_tiny {
namespace {

const Shape kShape{
    .vocabulary = 11, .hidden = 12, .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 4, .ffn = 10};

Row example_row(int length) {
  Random random(5);
  Row row;
  for (int i = 0; i <= length; ++i) {
    row.tokens.push_back(random.below(kShape.vocabulary));
    row.weights.push_back(i % 3 == 0 ? 0.25F : 1.0F);
  }
  row.weights.pop_back();
  return row;
}

// Every weight differs from its start value, or the derivatives of norms and LoRA would be tested at special
// points.
std::vector<float> disturbed(std::vector<float> values, float amount) {
  Random random(7);
  for (float& value : values) {
    value += amount * random.normal();
  }
  return values;
}

// Compares the slope of `loss` along a random direction within `weight` with the gradient.
template <typename Loss>
void expect_slope(const Weight& weight, const std::vector<float>& values, const std::vector<float>& gradient,
                  Loss loss) {
  Random random(11);
  std::vector<float> up = values;
  std::vector<float> down = values;
  double expected = 0;
  double size = 0;
  constexpr float kStep = 4e-3F;
  for (std::size_t i = weight.offset; i < weight.offset + weight.size(); ++i) {
    const float direction = random.normal();
    up[i] += kStep * direction;
    down[i] -= kStep * direction;
    expected += static_cast<double>(gradient[i]) * direction;
    size += static_cast<double>(gradient[i]) * gradient[i];
  }
  const double slope = (loss(up) - loss(down)) / (2.0 * kStep);
  EXPECT_GT(size, 1e-6) << weight.name << " has no gradient at all";
  EXPECT_NEAR(slope, expected, 0.01 * std::sqrt(size) + 0.01 * std::abs(expected)) << weight.name;
}

TEST(Gradient, OfEveryWeightIsTheSlopeOfTheLoss) {
  // 70 tokens: more than one block of attention rows.
  const Row row = example_row(70);
  const std::vector<float> weights = disturbed(initial_weights(kShape, 3), 0.1F);
  const Layout layout(kShape);
  Workspace workspace(kShape, 70);
  std::vector<float> gradient(layout.total);
  const double loss = workspace.loss_and_gradient(weights, row, 1, gradient);
  EXPECT_NEAR(workspace.loss(weights, row), loss, 1e-9);
  for (const Weight& weight : layout.all()) {
    expect_slope(weight, weights, gradient, [&](const auto& values) { return workspace.loss(values, row); });
  }
}

TEST(Gradient, OfAnAdapterIsTheSlopeThroughTheMergedWeights) {
  const Row row = example_row(20);
  const std::vector<float> base = disturbed(initial_weights(kShape, 3), 0.1F);
  const LoraLayout layout(kShape, {.rank = 2, .alpha = 3});
  const std::vector<float> adapter = disturbed(initial_lora(layout, 4), 0.1F);
  Workspace workspace(kShape, 20);
  std::vector<float> dense(base.size());
  workspace.loss_and_gradient(merged(layout, base, adapter), row, 1, dense);
  std::vector<float> gradient(layout.total);
  adapter_gradient(layout, dense, adapter, gradient);
  for (const Weight& weight : layout.all()) {
    expect_slope(weight, adapter, gradient,
                 [&](const auto& values) { return workspace.loss(merged(layout, base, values), row); });
  }
}

TEST(Forward, GivesAPositionTheSameLogitsWhateverFollows) {
  const std::vector<float> weights = disturbed(initial_weights(kShape, 3), 0.1F);
  const Row row = example_row(70);
  Workspace workspace(kShape, 70);
  const auto whole = workspace.forward(weights, std::span(row.tokens).first(70));
  const std::vector<float> early(whole.begin(), whole.begin() + 10 * kShape.vocabulary);
  const auto part = workspace.forward(weights, std::span(row.tokens).first(10));
  for (std::size_t i = 0; i < early.size(); ++i) {
    EXPECT_NEAR(part[i], early[i], 1e-4) << i;
  }
}

}  // namespace
}  // namespace llmd::train_tiny
