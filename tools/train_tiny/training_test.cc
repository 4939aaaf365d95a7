// A miniature of the whole tool: train a few steps, write, read back.
#include <filesystem>
#include <vector>

#include <gtest/gtest.h>

#include "train_tiny/safetensors.h"
#include "train_tiny/trainer.h"

namespace llmd::train_tiny {
namespace {

const Shape kShape{.hidden = 32, .layers = 1, .heads = 2, .kv_heads = 1, .head_dim = 16, .ffn = 48};

TrainOptions short_training() {
  TrainOptions options{.rows_per_step = 2, .row_length = 64, .threads = 2};
  options.optimiser.steps = 40;
  options.optimiser.warm_up = 5;
  options.optimiser.peak_rate = 1e-2F;
  return options;
}

const Report kQuiet = [](int, double) {};

TEST(Training, LowersTheLossWithinFortySteps) {
  const double before = evaluate(kShape, initial_weights(kShape, 1), Style::Plain, 77, 4);
  const double after = evaluate(kShape, train_base(kShape, short_training(), kQuiet), Style::Plain, 77, 4);
  EXPECT_GT(before, 5.0) << "an untrained model knows nothing about 264 tokens: ln(264) = 5.6";
  EXPECT_LT(after, 4.5);
}

TEST(Training, OfAnAdapterLowersTheLossOfItsStyleOnly) {
  const std::vector<float> base = train_base(kShape, short_training(), kQuiet);
  const LoraLayout layout(kShape, {});
  const std::vector<float> adapter = train_adapter(kShape, layout, base, short_training(), kQuiet);
  EXPECT_LT(evaluate(kShape, merged(layout, base, adapter), Style::Shout, 77, 4),
            evaluate(kShape, base, Style::Shout, 77, 4) - 0.5);
}

TEST(Checkpoint, ReadsBackTheRoundedWeights) {
  const std::filesystem::path path =
      std::filesystem::path(testing::TempDir()) / "train_tiny_checkpoint.safetensors";
  std::vector<float> weights = initial_weights(kShape, 1);
  ASSERT_TRUE(write_safetensors(path, Layout(kShape).all(), weights));
  const auto loaded = read_safetensors(path, Layout(kShape).all());
  ASSERT_TRUE(loaded) << loaded.error().message;
  round_to_bf16(weights);
  EXPECT_EQ(*loaded, weights);
  EXPECT_FALSE(read_safetensors(path, Layout(Shape{}).all())) << "another shape is another model";
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace llmd::train_tiny
