// Commands of pods that work as one group.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/path.h"
#include "llmisvc/compile.h"

namespace llmd::llmisvc {
namespace {

struct Group {
  long long size = 0;
  std::string leader;
  std::string worker;
};

std::string command_of(const json::Value& set, const char* which) {
  std::string text;
  const std::string path = fmt::format("spec.leaderWorkerTemplate.{}.spec.containers[0].command", which);
  for (const json::Value& word : *json::array_at(set, path)) {
    text += (text.empty() ? "" : " ") + std::string(word.get_string());
  }
  return text;
}

Group group_of(std::string_view image, std::string_view parallelism, int accelerators) {
  const std::string container = fmt::format(
      "{{containers: [{{name: main, image: '{}', resources: {{limits: {{nvidia.com/gpu: {}}}}}}}]}}", image,
      accelerators);
  const auto manifest = parse_manifest(
      fmt::format(
          "apiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceService\nmetadata: {{name: a}}\nspec: "
          "{{model: {{uri: \"hf://o/m\"}}, parallelism: {{{}}}, template: {}, worker: {}}}\n",
          parallelism, container, container),
      "test.yaml");
  EXPECT_TRUE(manifest) << manifest.error().text();
  const Compiled compiled = compile(manifest->services.front().value.get_object(), {});
  EXPECT_FALSE(has_errors(compiled.findings)) << error_of(compiled.findings).text();
  for (const json::Object& object : compiled.objects) {
    const json::Value set(object);
    if (json::string_at(set, "kind") == "LeaderWorkerSet") {
      return {.size = *json::int_at(set, "spec.leaderWorkerTemplate.size"),
              .leader = command_of(set, "leaderTemplate"),
              .worker = command_of(set, "workerTemplate")};
    }
  }
  return {};
}

const std::string kVllm =
    "vllm serve /mnt/models --served-model-name a publishers/default/models/a --port 8000 ";
const std::string kSglang =
    "python3 -m sglang.launch_server --model-path /mnt/models --served-model-name a --host 0.0.0.0 --port "
    "8000 "
    "--enable-metrics ";

TEST(GroupLaunch, CopiesOfAModelFindTheirLeader) {
  const Group group = group_of("vllm/vllm-openai", "data: 4, dataLocal: 2, tensor: 2, expert: true", 4);
  EXPECT_EQ(group.size, 2);
  const std::string common =
      "--tensor-parallel-size 2 --enable-expert-parallel --data-parallel-size 4 --data-parallel-size-local 2 "
      "--data-parallel-address $(LWS_LEADER_ADDRESS) --data-parallel-rpc-port 5555";
  EXPECT_EQ(group.leader, kVllm + common + " --data-parallel-start-rank 0 --api-server-count 8");
  EXPECT_EQ(group.worker, "sh -c exec \"$@\" --data-parallel-start-rank $((LWS_WORKER_INDEX*2)) -- " + kVllm +
                              common + " --headless");
}

TEST(GroupLaunch, StagesOfAPipelineKnowTheirPlace) {
  const Group group = group_of("vllm/vllm-openai", "pipeline: 2, tensor: 8", 8);
  EXPECT_EQ(group.size, 2);
  EXPECT_EQ(group.leader, kVllm +
                              "--tensor-parallel-size 8 --pipeline-parallel-size 2 --nnodes 2 --node-rank 0 "
                              "--master-addr $(LWS_LEADER_ADDRESS)");
  EXPECT_EQ(group.worker, kVllm +
                              "--tensor-parallel-size 8 --pipeline-parallel-size 2 --nnodes 2 --node-rank "
                              "$(LWS_WORKER_INDEX) --master-addr $(LWS_LEADER_ADDRESS) --headless");
}

TEST(GroupLaunch, ATensorWiderThanAPodIsOneStage) {
  const Group group = group_of("vllm/vllm-openai", "pipeline: 1, tensor: 16", 8);
  EXPECT_EQ(group.size, 2);
  EXPECT_THAT(group.leader,
              testing::HasSubstr("--tensor-parallel-size 16 --pipeline-parallel-size 1 --nnodes 2"));
}

TEST(GroupLaunch, ATensorAloneIsSharedByTheGroupsPods) {
  const Group stated = group_of("vllm/vllm-openai", "tensor: 16", 4);
  EXPECT_EQ(stated.size, 4);
  EXPECT_THAT(stated.leader,
              testing::HasSubstr("--tensor-parallel-size 16 --pipeline-parallel-size 1 --nnodes 4"));
}

TEST(GroupLaunch, SglangHasWordsOfItsOwn) {
  const Group stages = group_of("lmsysorg/sglang:v0.5.6", "pipeline: 2, tensor: 8", 8);
  EXPECT_EQ(stages.leader, kSglang +
                               "--tp-size 8 --pp-size 2 --nnodes 2 --node-rank 0 --dist-init-addr "
                               "$(LWS_LEADER_ADDRESS):5000");
  EXPECT_EQ(stages.worker, kSglang +
                               "--tp-size 8 --pp-size 2 --nnodes 2 --node-rank $(LWS_WORKER_INDEX) "
                               "--dist-init-addr $(LWS_LEADER_ADDRESS):5000");
  // Its copies share one world: 4 copies of 2 accelerators each are a world of 8.
  const Group copies =
      group_of("lmsysorg/sglang:v0.5.6", "data: 4, dataLocal: 2, tensor: 2, expert: true", 4);
  EXPECT_EQ(copies.leader, kSglang +
                               "--tp-size 8 --dp-size 4 --enable-dp-attention --ep-size 8 --nnodes 2 "
                               "--node-rank 0 --dist-init-addr $(LWS_LEADER_ADDRESS):5000");
}

}  // namespace
}  // namespace llmd::llmisvc
