#include "node/launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace llmd::node {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

kube::Object container(std::string_view text) {
  return boost::json::parse(text).as_object();
}

LaunchFacts facts(std::optional<std::filesystem::path> installed = {}) {
  return {.address = "127.70.0.9",
          .llmd = "/opt/llmd",
          .model_cache = "/cache",
          .find_program = [installed](std::string_view) { return installed; }};
}

const std::vector<Mount> kMounts{{"/mnt/models", "/data/pods/u1/volumes/model"}};

TEST(Launch, AVllmImageWithoutVllmIsServedByOurOwnEngineOnThePodsAddress) {
  const auto launch = plan_launch(container(R"({"name": "main", "image": "vllm/vllm-openai:latest",
                    "args": ["--model", "/mnt/models", "--served-model-name", "a", "--host=0.0.0.0"]})"),
                                  {}, kMounts, facts());
  ASSERT_TRUE(launch) << launch.error().text();
  EXPECT_THAT(launch->arguments, ElementsAre("/opt/llmd", "serve", "/data/pods/u1/volumes/model",
                                             "--served-model-name", "a", "--host", "127.70.0.9"));
  EXPECT_EQ(launch->note, "llmd serve, because vllm is not installed");
}

TEST(Launch, AnInstalledVllmIsUsed) {
  const auto launch = plan_launch(
      container(R"({"name": "main", "image": "vllm/vllm-openai:latest", "command": ["vllm", "serve"],
                    "args": ["/mnt/models", "--port", "8001"]})"),
      {}, kMounts, facts("/usr/bin/vllm"));
  ASSERT_TRUE(launch) << launch.error().text();
  EXPECT_THAT(launch->arguments, ElementsAre("vllm", "serve", "/data/pods/u1/volumes/model", "--port", "8001",
                                             "--host", "127.70.0.9"));
}

TEST(Launch, AProgramNobodyKnowsIsRefusedWithTheReason) {
  const auto launch =
      plan_launch(container(R"({"name": "main", "image": "nginx:1", "command": ["nginx", "-g"]})"), {}, {},
                  facts("/usr/bin/nginx"));
  ASSERT_FALSE(launch);
  EXPECT_EQ(launch.error().kind, ErrorKind::Unimplemented);
  EXPECT_THAT(launch.error().message, HasSubstr("container 'main': program 'nginx' has no engine profile"));
  EXPECT_THAT(launch.error().advice, HasSubstr("vllm"));
}

TEST(Launch, TheStorageInitializerIsLlmdFetchIntoTheFolderBehindTheMount) {
  const auto launch =
      plan_launch(container(R"({"name": "storage-initializer", "image": "kserve/storage-initializer:v0.16.0",
                    "args": ["pypi://a/b.gguf", "/mnt/models"]})"),
                  {}, kMounts, facts());
  ASSERT_TRUE(launch) << launch.error().text();
  EXPECT_THAT(launch->arguments, ElementsAre("/opt/llmd", "fetch", "--cache", "/cache", "pypi://a/b.gguf",
                                             "/data/pods/u1/volumes/model"));
}

TEST(Launch, MountedPathsAreRewrittenInArgumentsEnvironmentAndWorkingDirectory) {
  const auto launch =
      plan_launch(container(R"json({"name": "main", "image": "llmd", "workingDir": "/mnt/models",
      "args": ["/mnt/models/$(FILE)", "--chat-template=/mnt/models/chat.jinja", "--name", "/mnt/modelsX"]})json"),
                  {{"FILE", "a.gguf"}, {"HF_HOME", "/mnt/models/hub"}}, kMounts, facts());
  ASSERT_TRUE(launch) << launch.error().text();
  EXPECT_THAT(launch->arguments, ElementsAre("/opt/llmd", "serve", "/data/pods/u1/volumes/model/a.gguf",
                                             "--chat-template=/data/pods/u1/volumes/model/chat.jinja",
                                             "--name", "/mnt/modelsX", "--host", "127.70.0.9"));
  EXPECT_EQ(launch->environment.at("HF_HOME"), "/data/pods/u1/volumes/model/hub");
  EXPECT_EQ(launch->working_directory, "/data/pods/u1/volumes/model");
}

}  // namespace
}  // namespace llmd::node
