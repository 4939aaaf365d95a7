#include "llmisvc/launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace llmd::llmisvc {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Not;

TEST(Launch, TheImageDecidesTheEngine) {
  EXPECT_EQ(engine_of_image("vllm/vllm-openai:v0.11.0"), Engine::Vllm);
  EXPECT_EQ(engine_of_image("ghcr.io/llm-d/llm-d-cuda:v0.8.0"), Engine::Vllm);
  EXPECT_EQ(engine_of_image("lmsysorg/sglang:v0.5.6.post2-runtime"), Engine::Sglang);
  EXPECT_EQ(engine_of_image("ghcr.io/ggml-org/llama.cpp:server"), Engine::LlamaServer);
  EXPECT_EQ(engine_of_image("registry:5000/llmd"), Engine::Llmd);
}

TEST(Launch, OnlyAVllmTagIsAVersion) {
  EXPECT_EQ(version_of_image("vllm/vllm-openai:v0.11.0"), (EngineVersion{0, 11, 0}));
  EXPECT_EQ(version_of_image("vllm/vllm-openai:v0.16.1-cu129"), (EngineVersion{0, 16, 1}));
  EXPECT_EQ(version_of_image("vllm/vllm-openai:latest"), std::nullopt);
  EXPECT_EQ(version_of_image("ghcr.io/llm-d/llm-d-cuda:v0.8.0"), std::nullopt);
  EXPECT_EQ(version_of_image("registry:5000/vllm/vllm-openai"), std::nullopt);
}

TEST(Launch, FlagsFollowTheVersion) {
  LaunchOptions options{.served_names = {"m"}, .shutdown_seconds = 40};
  EXPECT_THAT(launch_command(Engine::Vllm, options),
              ElementsAre("vllm", "serve", "/mnt/models", "--served-model-name", "m", "--port", "8000"));
  options.version = EngineVersion{0, 11, 0};
  EXPECT_THAT(launch_command(Engine::Vllm, options), Contains("--disable-uvicorn-access-log"));
  options.version = EngineVersion{0, 18, 0};
  EXPECT_THAT(launch_command(Engine::Vllm, options), Contains("--shutdown-timeout"));
  EXPECT_THAT(launch_command(Engine::Vllm, options), Not(Contains("--disable-uvicorn-access-log")));
}

TEST(Launch, OtherEnginesHaveTheirOwnSpelling) {
  const LaunchOptions options{.model_file = "m.gguf", .served_names = {"m", "alias"}, .tensor = 2};
  EXPECT_THAT(launch_command(Engine::Sglang, options),
              ElementsAre("python3", "-m", "sglang.launch_server", "--model-path", "/mnt/models",
                          "--served-model-name", "m", "--host", "0.0.0.0", "--port", "8000",
                          "--enable-metrics", "--tp-size", "2"));
  EXPECT_THAT(launch_command(Engine::LlamaServer, options),
              ElementsAre("llama-server", "--model", "/mnt/models/m.gguf", "--host", "0.0.0.0", "--port",
                          "8000", "--metrics", "--alias", "m"));
  EXPECT_EQ(launch_command(Engine::Llmd, options).front(), "llmd");
}

}  // namespace
}  // namespace llmd::llmisvc
