// Adapters as PEFT writes them, on a random model, against the reference that multiplies them out.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <numeric>
#include <random>

#include "engine/model/model.h"
#include "engine/model/random_model.h"

namespace llmd::engine {
namespace {

using modelfile::TensorType;
using testing::make_random_model;
using testing::RandomLora;
using testing::RandomModel;
using testing::RandomTensor;
using testing::TemporaryFolder;

constexpr int kVocab = 67;
// Keys and values are half floats; sharper attention amplifies their rounding.
// rounding.
constexpr double kTolerance = 1e-3;

RandomTensor random_matrix(std::mt19937& random, std::int64_t rows, std::int64_t columns) {
  std::normal_distribution<float> normal(0, 0.5F / std::sqrt(static_cast<float>(columns)));
  RandomTensor tensor{{rows, columns}, std::vector<float>(static_cast<std::size_t>(rows * columns))};
  for (float& value : tensor.values) {
    value = normal(random);
  }
  return tensor;
}

RandomLora random_lora(const RandomModel& model, int rank, const std::vector<std::string>& targets,
                       unsigned seed) {
  std::mt19937 random(seed);
  RandomLora lora{.rank = rank};
  for (const auto& [name, tensor] : model.tensors) {
    for (const std::string& target : targets) {
      const std::string suffix = "." + target + ".weight";
      if (name.ends_with(suffix)) {
        const std::string module = name.substr(0, name.size() - std::strlen(".weight"));
        lora.a[module] = random_matrix(random, rank, tensor.shape[1]);
        lora.b[module] = random_matrix(random, tensor.shape[0], rank);
      }
    }
  }
  return lora;
}

void write_lora(const RandomLora& lora, const std::filesystem::path& folder, const std::string& config) {
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "adapter_config.json") << config;
  std::map<std::string, RandomTensor> tensors;
  for (const auto& [module, a] : lora.a) {
    tensors["base_model.model." + module + ".lora_A.weight"] = a;
    tensors["base_model.model." + module + ".lora_B.weight"] = lora.b.at(module);
  }
  write_safetensors_file(folder / "adapter_model.safetensors", tensors, TensorType::F32);
}

const std::vector<std::string> kAll = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                       "gate_proj", "up_proj", "down_proj"};
constexpr auto kConfig = R"({"r": 5, "lora_alpha": 10, "bias": "none", "target_modules": ["q_proj"]})";

class LoraTest : public ::testing::Test {
 protected:
  void SetUp() override {
    write_safetensors(random_, folder_.path(), TensorType::F32, 1);
    auto loaded = load_model(folder_.path(), {.threads = 2});
    ASSERT_TRUE(loaded) << loaded.error().text();
    model_ = std::move(*loaded);
    for (int i = 0; i < 21; ++i) {
      tokens_.push_back((i * 37 + 5) % kVocab);
    }
    std::iota(std::begin(blocks_), std::end(blocks_), 0);
  }

  SequenceChunk chunk(const LoraAdapter* adapter, int first_block = 0) const {
    return {.tokens = tokens_,
            .position = 0,
            .block_table = std::span(blocks_).subspan(static_cast<std::size_t>(first_block), 2),
            .logit_rows = static_cast<int>(tokens_.size()),
            .adapter = adapter};
  }

  std::vector<float> run(const std::vector<SequenceChunk>& batch) {
    const auto cache = model_->make_kv_cache(8, 16);
    std::vector<float> logits(batch.size() * tokens_.size() * kVocab);
    model_->forward(batch, *cache, logits);
    return logits;
  }

  void expect_near(std::span<const float> logits, const RandomLora* lora) {
    const auto expected = reference_logits(random_, tokens_, lora);
    double top = 0;
    for (const double value : expected) {
      top = std::max(top, std::abs(value));
    }
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(logits[i], expected[i], kTolerance * top);
    }
  }

  RandomModel random_ = make_random_model({.vocab = kVocab}, 11);
  TemporaryFolder folder_;
  std::unique_ptr<Model> model_;
  std::vector<Token> tokens_;
  int blocks_[8] = {};
};

TEST_F(LoraTest, OnEveryProjectionAgreesWithTheReference) {
  const RandomLora lora = random_lora(random_, 5, kAll, 1);
  write_lora(lora, folder_.path() / "adapter", kConfig);
  const auto adapter = model_->load_adapter(folder_.path() / "adapter");
  ASSERT_TRUE(adapter) << adapter.error().text();
  EXPECT_EQ((*adapter)->rank(), 5);
  expect_near(run({chunk(adapter->get())}), &lora);
}

TEST_F(LoraTest, WithRankStabilisationScalesByTheRoot) {
  RandomLora lora = random_lora(random_, 4, {"q_proj", "v_proj"}, 2);
  lora.scale = 5;  // 10 / sqrt(4)
  write_lora(lora, folder_.path() / "adapter", R"({"r": 4, "lora_alpha": 10, "use_rslora": true})");
  const auto adapter = model_->load_adapter(folder_.path() / "adapter");
  ASSERT_TRUE(adapter) << adapter.error().text();
  expect_near(run({chunk(adapter->get())}), &lora);
}

TEST_F(LoraTest, SequencesOfOneBatchKeepTheirOwnAdapters) {
  const RandomLora first = random_lora(random_, 5, kAll, 3);
  RandomLora second = random_lora(random_, 20, {"v_proj", "down_proj"}, 4);
  second.scale = 0.5;
  write_lora(first, folder_.path() / "first", kConfig);
  write_lora(second, folder_.path() / "second", R"({"r": 20, "lora_alpha": 10})");
  const auto a = model_->load_adapter(folder_.path() / "first");
  const auto b = model_->load_adapter(folder_.path() / "second");
  ASSERT_TRUE(a && b);
  const auto together = run({chunk(a->get(), 0), chunk(nullptr, 2), chunk(b->get(), 4)});
  const auto rows = tokens_.size() * kVocab;
  const std::vector<std::vector<float>> alone = {run({chunk(a->get())}), run({chunk(nullptr)}),
                                                 run({chunk(b->get())})};
  expect_near(alone[0], &first);
  expect_near(alone[1], nullptr);
  expect_near(alone[2], &second);
  for (std::size_t i = 0; i < alone.size(); ++i) {
    EXPECT_EQ(std::memcmp(together.data() + i * rows, alone[i].data(), rows * sizeof(float)), 0) << i;
  }
}

TEST_F(LoraTest, ForAnotherModelIsRefusedWithTheMatrixNamed) {
  const RandomModel other = make_random_model({.vocab = kVocab, .hidden = 32}, 1);
  write_lora(random_lora(other, 5, {"q_proj"}, 1), folder_.path() / "adapter", kConfig);
  const auto adapter = model_->load_adapter(folder_.path() / "adapter");
  ASSERT_FALSE(adapter);
  EXPECT_NE(adapter.error().message.find("layer 0 self_attn.q_proj"), std::string::npos)
      << adapter.error().message;
}

TEST_F(LoraTest, WithUnsupportedPartsIsRefused) {
  for (const auto* const config :
       {R"({"lora_alpha": 1, "use_dora": true})", R"({"lora_alpha": 1, "bias": "all"})",
        R"({"lora_alpha": 1, "modules_to_save": ["lm_head"]})"}) {
    write_lora(random_lora(random_, 5, {"q_proj"}, 1), folder_.path() / "adapter", config);
    EXPECT_EQ(model_->load_adapter(folder_.path() / "adapter").error().kind, ErrorKind::Unimplemented)
        << config;
  }
  RandomLora head;
  head.a["lm_head"] = head.b["lm_head"] = {{4, 4}, std::vector<float>(16)};
  write_lora(head, folder_.path() / "adapter", kConfig);
  EXPECT_EQ(model_->load_adapter(folder_.path() / "adapter").error().kind, ErrorKind::Unimplemented);
}

TEST_F(LoraTest, WithoutAnyTensorIsRefused) {
  write_lora({}, folder_.path() / "adapter", kConfig);
  EXPECT_EQ(model_->load_adapter(folder_.path() / "adapter").error().kind, ErrorKind::DataLoss);
}

}  // namespace
}  // namespace llmd::engine
