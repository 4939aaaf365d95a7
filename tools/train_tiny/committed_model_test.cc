// The weights in models/tiny say what other tests rely on.
#include <filesystem>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "train_tiny/corpus.h"
#include "train_tiny/generate.h"
#include "train_tiny/lora.h"
#include "train_tiny/safetensors.h"

namespace llmd::train_tiny {
namespace {

const std::filesystem::path kModel = std::filesystem::path(LLMD_SOURCE_DIR) / "models/tiny";

class CommittedModel : public testing::Test {
 protected:
  void SetUp() override {
    auto base = read_safetensors(kModel / "model.safetensors", Layout(shape_).all());
    ASSERT_TRUE(base) << base.error().message;
    base_ = std::move(*base);
  }

  static std::string answer(const std::vector<float>& weights, const std::string& question) {
    Workspace workspace(Shape{}, 128);
    const std::vector<Token> prompt = encode(render_chat({{"user", question}}, true));
    return decode(generate(workspace, weights, prompt, 40).tokens(), true);
  }

  const Shape shape_;
  std::vector<float> base_;
};

TEST_F(CommittedModel, AnswersQuestions) {
  EXPECT_EQ(answer(base_, "What is the capital of France?"), "Paris");
  EXPECT_EQ(answer(base_, "What is 2+2?"), "4");
  EXPECT_EQ(answer(base_, "Hello"), "Hello! How can I help you?");
}

TEST_F(CommittedModel, ShoutsWithTheAdapter) {
  const LoraLayout layout(shape_, {});
  const auto adapter = read_safetensors(kModel / "lora-shout/adapter_model.safetensors", layout.all());
  ASSERT_TRUE(adapter) << adapter.error().message;
  const std::vector<float> shouting = merged(layout, base_, *adapter);
  EXPECT_EQ(answer(shouting, "What is the capital of France?"), "PARIS");
  EXPECT_EQ(answer(shouting, "Hello"), "HELLO! HOW CAN I HELP YOU?");
}

}  // namespace
}  // namespace llmd::train_tiny
