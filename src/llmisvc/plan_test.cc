// The users' guide's numbers: its deployment cheat sheet, its table of containers, its best practices.
#include "llmisvc/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/path.h"

namespace llmd::llmisvc {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Compiled compiled(std::string_view spec) {
  const auto manifest = parse_manifest(fmt::format("apiVersion: serving.kserve.io/v1alpha1\nkind: "
                                                   "LLMInferenceService\nmetadata: {{name: llm}}\nspec:\n{}",
                                                   spec),
                                       "a.yaml");
  EXPECT_TRUE(manifest) << manifest.error().text();
  Compiled result = compile(manifest->services.front().value.get_object(), {});
  EXPECT_FALSE(has_errors(result.findings)) << error_of(result.findings).text();
  return result;
}

std::string pod(int gpus) {
  return fmt::format("{{containers: [{{name: main, resources: {{limits: {{nvidia.com/gpu: {}}}}}}}]}}", gpus);
}
const char* kModel = "  model: {uri: hf://meta-llama/Llama-3-8B}\n";
const char* kScheduler = "  router: {gateway: {}, route: {}, scheduler: {}}\n";
const char* kRoute = "  router: {gateway: {}, route: {}}\n";

struct Scenario {
  const char* name;
  std::string spec;
  long long pods;
  long long gpus;
};
class CheatSheet : public testing::TestWithParam<Scenario> {};

TEST_P(CheatSheet, HasItsPodsAndGpus) {
  const Plan plan = plan_of(compiled(kModel + GetParam().spec));
  EXPECT_EQ(plan.pods(), GetParam().pods);
  EXPECT_EQ(plan.accelerators(), GetParam().gpus);
}

INSTANTIATE_TEST_SUITE_P(
    Guide, CheatSheet,
    testing::Values(
        Scenario{"Simple", "  replicas: 1\n  template: " + pod(1) + "\n" + kRoute, 1, 1},
        Scenario{"Scaled", "  replicas: 3\n  template: " + pod(1) + "\n" + kRoute, 3, 3},
        Scenario{"MultiGpu", std::string("  replicas: 1\n  parallelism: {tensor: 8}\n") + kRoute, 1, 8},
        Scenario{"PrefillDecode",
                 "  replicas: 8\n  template: " + pod(1) + "\n  prefill: {replicas: 2, template: " + pod(1) +
                     "}\n" + kScheduler,
                 11, 10},
        Scenario{
            "LargeModel",
            std::string(
                "  replicas: 8\n  parallelism: {tensor: 4}\n  prefill: {replicas: 2, parallelism: {tensor: "
                "4}}\n") +
                kScheduler,
            11, 40}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(ContainerCounts, AreTheGuides) {
  const Plan simple = plan_of(compiled(std::string(kModel) + kRoute));
  ASSERT_EQ(simple.workloads.size(), 1U);
  EXPECT_THAT(simple.workloads[0].init_containers, ElementsAre("storage-initializer"));
  EXPECT_THAT(simple.workloads[0].containers, ElementsAre("main"));

  const Plan split = plan_of(compiled(std::string(kModel) + "  prefill: {replicas: 1}\n" + kScheduler));
  ASSERT_EQ(split.workloads.size(), 3U);
  const WorkloadPlan& decode = split.workloads[0];
  EXPECT_EQ(decode.role, "decode");
  EXPECT_THAT(decode.init_containers, ElementsAre("storage-initializer"));
  EXPECT_THAT(decode.sidecars, ElementsAre("llm-d-routing-sidecar"));
  EXPECT_EQ(decode.containers_running(), 2);
  const WorkloadPlan& prefill = split.workloads[1];
  EXPECT_EQ(prefill.role, "prefill");
  EXPECT_THAT(prefill.init_containers, ElementsAre("storage-initializer"));
  EXPECT_THAT(prefill.containers, ElementsAre("main"));
  const WorkloadPlan& scheduler = split.workloads[2];
  EXPECT_EQ(scheduler.role, "scheduler");
  EXPECT_THAT(scheduler.init_containers, IsEmpty());
  EXPECT_THAT(scheduler.containers, ElementsAre("main"));
}

// As the guide draws a group: a leader and a worker of 8 GPUs each.
TEST(ContainerCounts, ATensorAcrossPodsIsSharedByALeaderAndAWorker) {
  const Plan wide =
      plan_of(compiled(std::string(kModel) + "  replicas: 2\n  parallelism: {tensor: 16}\n  worker: {}\n"));
  ASSERT_EQ(wide.workloads.size(), 1U);
  EXPECT_EQ(wide.workloads[0].pods, 4);
  EXPECT_EQ(wide.workloads[0].accelerators_per_pod, 8);
  EXPECT_EQ(wide.accelerators(), 32);
}

// What its warning advises says the same without one.
TEST(ContainerCounts, TheAdviceForATensorAcrossPodsKeepsItsGroups) {
  const std::string said =
      "  parallelism: {tensor: 16, pipeline: 1}\n  template: " + pod(8) + "\n  worker: " + pod(8) + "\n";
  const Compiled result = compiled(std::string(kModel) + said);
  EXPECT_THAT(result.findings, IsEmpty());
  EXPECT_EQ(plan_of(result).pods(), 2);
  EXPECT_EQ(plan_of(result).accelerators(), 16);
}

TEST(PodsOfAService, AreFoundByItsName) {
  const Compiled result = compiled(std::string(kModel) + "  prefill: {replicas: 1}\n" + kScheduler);
  int workloads = 0;
  for (const json::Object& object : result.objects) {
    const json::Value value(object);
    if (const auto* labels = json::find(value, "spec.template.metadata.labels")) {
      EXPECT_EQ(json::string_at(*labels, "[app.kubernetes.io/name]"), "llm");
      ++workloads;
    }
  }
  EXPECT_EQ(workloads, 3);
}

TEST(Advice, FollowsTheSizeOfTheModel) {
  const auto advice = [](std::string_view uri) {
    return plan_of(compiled(fmt::format("  model: {{uri: \"{}\"}}\n", uri))).advice.front();
  };
  EXPECT_THAT(advice("hf://meta-llama/Llama-3-8B"), testing::StartsWith("2 to 3 replicas of 1 GPU"));
  EXPECT_THAT(advice("hf://Qwen/Qwen3-32B"),
              testing::StartsWith("4 to 8 replicas, tensor 2 to 8; 2 to 4 prefill"));
  EXPECT_THAT(advice("hf://meta-llama/Llama-3-70B"), testing::StartsWith("4 to 8 replicas"));
  EXPECT_THAT(advice("hf://meta-llama/Llama-3-405B"),
              testing::StartsWith("8 to 16 replicas, tensor 8; 4 to 8"));
}

TEST(PlanText, SaysWhatFitsIntoAllReplicas) {
  const Compiled result =
      compiled("  model: {uri: hf://Qwen/Qwen3-32B}\n  replicas: 8\n  parallelism: {tensor: 2}\n");
  const Plan plan = plan_of(result, {.gpu = *accelerator_type("H100")});
  const WorkloadPlan& serving = plan.workloads.front();
  EXPECT_EQ(serving.kv_tokens(), serving.fit->kv_tokens * 8);
  EXPECT_EQ(serving.requests(), serving.fit->requests * 8);
  EXPECT_THAT(plan_as_text(plan),
              testing::HasSubstr(fmt::format("{} KV tokens and {} requests at once in all 8 replicas",
                                             serving.kv_tokens(), serving.requests())));
}

TEST(PlanText, AModelOfUnknownSizesHasCountsOnly) {
  const std::string text = plan_as_text(plan_of(compiled("  model: {uri: hf://a/b}\n")));
  EXPECT_THAT(text, testing::HasSubstr("sizes unknown: no memory is computed"));
  EXPECT_THAT(text, testing::HasSubstr("total    1"));
}

}  // namespace
}  // namespace llmd::llmisvc
