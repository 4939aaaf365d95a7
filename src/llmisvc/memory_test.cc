#include "llmisvc/memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/value.h"

namespace llmd::llmisvc {
namespace {

constexpr double kGib = 1024.0 * 1024 * 1024;

ModelShape model(std::string_view uri) {
  const auto shape = well_known_model(uri);
  EXPECT_TRUE(shape) << uri;
  return shape.value_or(ModelShape{.name = {}});
}

AcceleratorType gpu(std::string_view name) {
  const auto type = accelerator_type(name);
  EXPECT_TRUE(type) << name;
  return type.value_or(AcceleratorType{.name = {}});
}

struct KvBytes {
  const char* uri;
  double bytes;
};
class KvBytesPerToken : public testing::TestWithParam<KvBytes> {};

TEST_P(KvBytesPerToken, IsTheModelCards) {
  EXPECT_EQ(memory_need(model(GetParam().uri), {}, {}).kv_per_token, GetParam().bytes);
}

INSTANTIATE_TEST_SUITE_P(Models, KvBytesPerToken,
                         testing::Values(KvBytes{"hf://facebook/opt-125m", 36864},
                                         KvBytes{"hf://Qwen/Qwen2.5-0.5B-Instruct", 12288},
                                         KvBytes{"hf://meta-llama/Llama-3.2-1B-Instruct", 32768},
                                         KvBytes{"hf://meta-llama/Llama-2-7b-chat-hf", 524288},
                                         KvBytes{"hf://mistralai/Mistral-7B-Instruct-v0.2", 131072},
                                         KvBytes{"hf://meta-llama/Llama-3-8B-Instruct", 131072},
                                         KvBytes{"hf://Qwen/Qwen3-32B", 262144},
                                         KvBytes{"hf://meta-llama/Llama-3.1-70B", 327680},
                                         KvBytes{"hf://meta-llama/Llama-3-405B", 516096},
                                         KvBytes{"hf://deepseek-ai/DeepSeek-R1", 70272},
                                         KvBytes{"hf://deepseek-ai/DeepSeek-V2-Lite", 31104},
                                         KvBytes{"hf://openai/gpt-oss-120b", 36864}),
                         [](const auto& param) { return fmt::format("Row{}", param.index); });

TEST(Memory, ReproducesThePublishedCapacityOfQwen3On2H100) {
  const Parallelism two{.tensor = 2};
  const auto need = memory_need(model("Qwen/Qwen3-32B"), two, {});
  EXPECT_NEAR(need.weights / kGib, 30.5, 0.1);
  const auto fit = memory_fit(need, gpu("H100"), two, {});
  EXPECT_TRUE(fit.fits);
  EXPECT_NEAR(static_cast<double>(fit.kv_tokens), 307328, 307328 * 0.005);
  EXPECT_EQ(fit.kv_tokens % 16, 0);
}

TEST(Memory, TheGuides70BDecodePodsOf2GpusDoNotFitAndTheFixSaysWhatDoes) {
  const auto shape = model("hf://meta-llama/Llama-3-70B-Instruct");
  const auto type = gpu("80GB");
  const auto tokens = [&](long long tensor) {
    const Parallelism p{.tensor = tensor};
    return memory_fit(memory_need(shape, p, {}), type, p, {});
  };
  EXPECT_FALSE(tokens(2).fits);
  EXPECT_NEAR(static_cast<double>(tokens(4).kv_tokens), 400e3, 5e3);
  EXPECT_NEAR(static_cast<double>(tokens(8).kv_tokens), 1.23e6, 0.01e6);
  EXPECT_EQ(memory_advice(shape, {.tensor = 2}, {}, type), "parallelism.tensor: 4, or weights in FP8");
}

TEST(Memory, SmallModelsShareAGpuByItsUtilization) {
  Workload workload;
  workload.pod = *json::parse_object(
      R"({"containers": [{"name": "main", "args": ["--gpu-memory-utilization", "0.1", "--max-model-len=32768"]}]})");
  const EngineMemory engine = engine_memory(workload);
  EXPECT_EQ(engine.utilization, 0.1);
  EXPECT_EQ(engine.max_length, 32768);
  const auto shape = model("hf://Qwen/Qwen2.5-0.5B-Instruct");
  const auto fit = memory_fit(memory_need(shape, {}, engine), gpu("140GB"), {}, engine);
  EXPECT_TRUE(fit.fits);
  EXPECT_GT(fit.kv_tokens, 700'000);
}

TEST(Memory, EveryGpuHoldsAtLeastOneHeadAndTheWholeLatent) {
  const auto need = [](std::string_view uri, long long tensor) {
    return memory_need(model(uri), {.tensor = tensor}, {}).kv_per_token;
  };
  EXPECT_EQ(need("Llama-3-70B", 8), 40960);
  EXPECT_EQ(need("Llama-3-70B", 16), 40960);
  EXPECT_EQ(need("DeepSeek-R1", 8), 70272);
}

TEST(Memory, RequestsAreKvTokensOverTokensOfAMeanRequest) {
  const Parallelism two{.tensor = 2};
  const Traffic traffic{.input_tokens = 6000, .output_tokens = 1000, .shared_prefix = 0.5};
  const auto fit = memory_fit(memory_need(model("Qwen3-32B"), two, {}), gpu("H100"), two, {}, traffic);
  EXPECT_EQ(fit.requests, fit.kv_tokens / 4000);
}

TEST(Memory, AnUnknownGpuNamesTheNearestOrAllTypes) {
  EXPECT_EQ(accelerator_type("H10").error().advice, "did you mean 'H100'?");
  EXPECT_THAT(accelerator_type("quantum").error().advice, testing::HasSubstr("known: L4, A10G"));
}

TEST(ModelShape, IsReadFromAConfigFile) {
  const auto config =
      json::parse(R"({"num_hidden_layers": 64, "num_attention_heads": 64, "num_key_value_heads": 8,
    "head_dim": 128, "hidden_size": 5120, "intermediate_size": 25600, "vocab_size": 151936,
    "max_position_embeddings": 40960, "torch_dtype": "bfloat16", "tie_word_embeddings": false})");
  const auto shape = shape_of_config(*config, "qwen3-32b", 0);
  ASSERT_TRUE(shape) << shape.error().text();
  EXPECT_NEAR(shape->parameters, 32.8e9, 0.2e9);
  EXPECT_NEAR(shape->weight_bytes, 65.6e9, 0.4e9);
  EXPECT_EQ(memory_need(*shape, {}, {}).kv_per_token, 262144);
  EXPECT_EQ(shape->context, 40960);
}

TEST(ModelShape, QuantisedAndLatentConfigsCount) {
  const auto config =
      json::parse(R"({"num_hidden_layers": 61, "num_attention_heads": 128, "hidden_size": 7168,
    "kv_lora_rank": 512, "qk_rope_head_dim": 64, "quantization_config": {"quant_method": "fp8"},
    "moe_intermediate_size": 2048, "n_routed_experts": 256, "vocab_size": 129280})");
  const auto shape = shape_of_config(*config, "deepseek", 0);
  ASSERT_TRUE(shape) << shape.error().text();
  EXPECT_EQ(memory_need(*shape, {}, {}).kv_per_token, 70272);
  EXPECT_EQ(shape->weight_bytes, shape->parameters);
  EXPECT_EQ(shape_of_config(*config, "deepseek", 671e9)->weight_bytes, 671e9);
}

TEST(ModelShape, AConfigWithoutLayersIsRefused) {
  const auto shape = shape_of_config(*json::parse("{}"), "x", 0);
  ASSERT_FALSE(shape);
  EXPECT_THAT(shape.error().advice, testing::HasSubstr("num_hidden_layers"));
}

TEST(ModelShape, AQuantisationInTheNameMakesWeightsSmaller) {
  EXPECT_EQ(model("hf://org/Llama-3.1-70B-Instruct-FP8").weight_bytes, 70.6e9);
  EXPECT_LT(model("hf://org/Llama-3.1-70B-Instruct-AWQ").weight_bytes, 40e9);
}

}  // namespace
}  // namespace llmd::llmisvc
