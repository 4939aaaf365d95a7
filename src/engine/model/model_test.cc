// Random models of many shapes, loaded from files as users load them, against the double-precision reference.

#include "engine/model/model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>

#include "engine/model/random_model.h"

namespace llmd::engine {
namespace {

using modelfile::TensorType;
using testing::make_random_model;
using testing::ModelShape;
using testing::RandomModel;
using testing::TemporaryFolder;

std::vector<Token> some_tokens(int count, int vocabulary) {
  std::vector<Token> tokens;
  for (int i = 0; i < count; ++i) {
    tokens.push_back((i * 7919 + 13) % vocabulary);
  }
  return tokens;
}

std::vector<float> all_logits(Model& model, std::span<const Token> tokens) {
  const auto cache = model.make_kv_cache(8, 16);
  std::vector<int> blocks(8);
  std::iota(blocks.begin(), blocks.end(), 0);
  std::vector<float> logits(tokens.size() * static_cast<std::size_t>(model.config().vocab_size));
  const SequenceChunk chunk{
      .tokens = tokens, .position = 0, .block_table = blocks, .logit_rows = static_cast<int>(tokens.size())};
  model.forward({&chunk, 1}, *cache, logits);
  return logits;
}

// The largest difference in units of the largest logit.
double relative_error(std::span<const float> logits, std::span<const double> expected) {
  double worst = 0;
  double top = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(logits[i]) - expected[i]));
    top = std::max(top, std::abs(expected[i]));
  }
  return worst / top;
}

// Keys and values are kept as half floats: eleven bits each.
constexpr double kHalfCacheError = 5e-4;
// Activations are rounded to 8 bits per block before each product with quantised weights.
constexpr double kQuantisedError = 2e-2;

std::vector<ModelShape> shapes() {
  return {
      {.label = "GroupedQueries"},
      {.label = "EveryHeadItsOwnKeys", .heads = 4, .kv_heads = 4},
      {.label = "OneKeyHeadForAll", .heads = 10, .kv_heads = 1},
      {.label = "OddSizes",
       .vocab = 259,
       .hidden = 40,
       .heads = 3,
       .kv_heads = 3,
       .head_dim = 24,
       .feed_forward = 77},
      {.label = "HeadsWiderThanHidden",
       .hidden = 48,
       .heads = 5,
       .kv_heads = 5,
       .head_dim = 80,
       .tied = true},
      {.label = "Tied", .tied = true},
      {.label = "Qwen2", .family = Family::Qwen2, .heads = 6, .kv_heads = 2},
      {.label = "LinearRope", .rope_scaling = R"({"type": "linear", "factor": 4.0})"},
      {.label = "Llama3Rope", .head_dim = 32, .rope_scaling = R"({"rope_type": "llama3", "factor": 8.0,
        "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64})"},
  };
}

class Shapes : public ::testing::TestWithParam<ModelShape> {};

TEST_P(Shapes, AgreeWithTheReference) {
  RandomModel random = make_random_model(GetParam(), 7);
  const TemporaryFolder folder;
  write_safetensors(random, folder.path(), TensorType::F32, 1);
  const auto model = load_model(folder.path(), {.threads = 2});
  ASSERT_TRUE(model) << model.error().text();
  const auto tokens = some_tokens(37, GetParam().vocab);
  EXPECT_LT(relative_error(all_logits(**model, tokens), reference_logits(random, tokens)), kHalfCacheError);
}

INSTANTIATE_TEST_SUITE_P(Model, Shapes, ::testing::ValuesIn(shapes()),
                         [](const auto& info) { return info.param.label; });

struct Container {
  TensorType type;
  int shards;
};
class Safetensors : public ::testing::TestWithParam<Container> {};

TEST_P(Safetensors, OfEveryTypeAgreeWithTheReference) {
  RandomModel random = make_random_model({}, 8);
  const TemporaryFolder folder;
  write_safetensors(random, folder.path(), GetParam().type, GetParam().shards);
  const auto model = load_model(folder.path(), {.threads = 1});
  ASSERT_TRUE(model) << model.error().text();
  const auto tokens = some_tokens(20, 67);
  EXPECT_LT(relative_error(all_logits(**model, tokens), reference_logits(random, tokens)), kHalfCacheError);
}

INSTANTIATE_TEST_SUITE_P(Model, Safetensors,
                         ::testing::Values(Container{TensorType::F32, 3}, Container{TensorType::F16, 1},
                                           Container{TensorType::BF16, 2}));

class Gguf : public ::testing::TestWithParam<TensorType> {};

TEST_P(Gguf, OfEveryTypeAgreesWithTheReference) {
  for (const Family family : {Family::Llama, Family::Qwen2}) {
    RandomModel random = make_random_model(
        {.family = family, .hidden = 256, .heads = 8, .kv_heads = 4, .head_dim = 32, .feed_forward = 512}, 9);
    const TemporaryFolder folder;
    write_gguf(random, folder.path() / "random.gguf", GetParam());
    const auto model = load_model(folder.path(), {.threads = 2});
    ASSERT_TRUE(model) << model.error().text();
    const auto tokens = some_tokens(20, 67);
    const bool floats =
        GetParam() == TensorType::F32 || GetParam() == TensorType::F16 || GetParam() == TensorType::BF16;
    EXPECT_LT(relative_error(all_logits(**model, tokens), reference_logits(random, tokens)),
              floats ? kHalfCacheError : kQuantisedError);
  }
}

INSTANTIATE_TEST_SUITE_P(Model, Gguf,
                         ::testing::Values(TensorType::F32, TensorType::F16, TensorType::BF16,
                                           TensorType::Q4_0, TensorType::Q4_1, TensorType::Q5_0,
                                           TensorType::Q5_1, TensorType::Q8_0, TensorType::Q4_K,
                                           TensorType::Q5_K, TensorType::Q6_K),
                         [](const auto& info) { return std::string(to_string(info.param)); });

// --- what goes wrong when loading ---

TEST(LoadModel, NamesTheMissingTensor) {
  RandomModel random = make_random_model({}, 1);
  random.tensors.erase("model.layers.1.mlp.up_proj.weight");
  const TemporaryFolder folder;
  write_safetensors(random, folder.path(), TensorType::F32, 1);
  const auto model = load_model(folder.path());
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().message,
            folder.path().string() + ": tensor model.layers.1.mlp.up_proj.weight is missing");
}

TEST(LoadModel, NamesTheTensorWithTheWrongShape) {
  RandomModel random = make_random_model({}, 1);
  random.tensors["model.norm.weight"].shape = {32};
  random.tensors["model.norm.weight"].values.resize(32);
  const TemporaryFolder folder;
  write_safetensors(random, folder.path(), TensorType::F32, 1);
  const auto model = load_model(folder.path());
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().message,
            folder.path().string() + ": tensor model.norm.weight: shape [32], expected [64]");
}

TEST(LoadModel, RefusesAFamilyItDoesNotKnow) {
  const TemporaryFolder folder;
  RandomModel random = make_random_model({}, 1);
  write_safetensors(random, folder.path(), TensorType::F32, 1);
  std::ofstream(folder.path() / "config.json") << R"({"model_type": "mamba"})";
  const auto model = load_model(folder.path());
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().kind, ErrorKind::Unimplemented);
  EXPECT_NE(model.error().message.find("mamba"), std::string::npos);
}

TEST(LoadModel, SaysThatNothingIsThere) {
  const TemporaryFolder folder;
  EXPECT_EQ(load_model(folder.path()).error().kind, ErrorKind::NotFound);
  EXPECT_EQ(load_model(folder.path() / "no.gguf").error().kind, ErrorKind::NotFound);
}

}  // namespace
}  // namespace llmd::engine
