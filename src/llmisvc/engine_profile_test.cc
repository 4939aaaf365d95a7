#include "llmisvc/engine_profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace llmd::llmisvc {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

TEST(EngineProfile, AnImageWithoutCommandRunsItsEntryPoint) {
  const auto command =
      parse_engine_command("registry.example:5000/vllm/vllm-openai:v0.11", Words{}, Words{"/mnt/models"});
  ASSERT_TRUE(command) << command.error().text();
  EXPECT_EQ(command->profile->name, "vllm");
  EXPECT_THAT(command->launch, ElementsAre("vllm", "serve"));
  EXPECT_THAT(command->arguments, ElementsAre("/mnt/models"));
}

TEST(EngineProfile, ATagDoesNotDecideTheEngine) {
  EXPECT_FALSE(parse_engine_command("acme/server:vllm", Words{}, Words{}));
}

TEST(EngineProfile, ACommandMayBeSplitOverCommandAndArgs) {
  const auto command = parse_engine_command("acme/any", Words{"vllm"}, Words{"serve", "m", "--port", "8001"});
  ASSERT_TRUE(command) << command.error().text();
  EXPECT_THAT(command->arguments, ElementsAre("m", "--port", "8001"));
}

TEST(EngineProfile, AnUnknownProgramIsRefusedWithTheKnownOnes) {
  const auto command = parse_engine_command("acme/any", Words{"nginx"}, Words{});
  ASSERT_FALSE(command);
  EXPECT_THAT(command.error().message, HasSubstr("program 'nginx' has no engine profile"));
  EXPECT_THAT(command.error().advice, HasSubstr("vllm, sglang, llama-server, llmd"));
}

TEST(EngineProfile, BindingReplacesTheUsersHostAndKeepsThePort) {
  const auto& vllm = engine_profiles().front();
  EXPECT_THAT(bind_arguments(vllm, Words{"m", "--host", "0.0.0.0", "--port=8001"}, "127.70.0.2"),
              ElementsAre("m", "--port=8001", "--host", "127.70.0.2"));
  EXPECT_THAT(bind_arguments(vllm, Words{"m", "--host=0.0.0.0"}, "127.70.0.2"),
              ElementsAre("m", "--host", "127.70.0.2"));
}

TEST(EngineProfile, SglangsOptionsAreTranslatedForServe) {
  const auto command =
      parse_engine_command("lmsysorg/sglang:v0.5", Words{},
                           Words{"--model-path", "/mnt/models", "--context-length=4096", "--port", "1"});
  ASSERT_TRUE(command) << command.error().text();
  EXPECT_THAT(serve_arguments(*command->profile, command->arguments),
              ElementsAre("/mnt/models", "--max-model-len", "4096", "--port", "1"));
}

}  // namespace
}  // namespace llmd::llmisvc
