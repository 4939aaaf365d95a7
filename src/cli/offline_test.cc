// check, render, convert, plan and explain-config by the door that people use.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/testing_program.h"
#include "json/path.h"
#include "json/yaml.h"

namespace llmd::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const std::string kInputs = std::string(LLMD_SOURCE_DIR) + "/src/llmisvc/testdata/inputs/";

class Offline : public InFolder {};

std::string service(std::string_view name, std::string_view spec) {
  return fmt::format(
      "apiVersion: serving.kserve.io/v1alpha1\nkind: LLMInferenceService\nmetadata: {{name: {}}}\nspec: {}\n",
      name, spec);
}

TEST_F(Offline, CheckPrintsLikeACompilerAndExitsWithOne) {
  const auto file = write("a.yaml", service("a", "{model: {uri: hf://a/b}, replicsa: 2}"));
  const auto ran = run({"check", file});
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.out, file +
                         ":4:32: error: spec.replicsa: unknown field [unknown-field]\n  fix: did you mean "
                         "'replicas'?\n");
  EXPECT_EQ(run({"check", write("b.yaml", service("a", "{model: {uri: hf://a/b}}"))}).code, 0);
}

TEST_F(Offline, CheckAsJsonHasEveryPart) {
  const auto ran = run({"check", "-o", "json", write("a.yaml", service("a", "{model: {uri: hff://a/b}}"))});
  const auto value = json::parse(ran.out);
  ASSERT_TRUE(value) << ran.out;
  EXPECT_EQ(json::string_at(*value, "[0].code"), "model-uri");
  EXPECT_EQ(json::string_at(*value, "[0].path"), "spec.model.uri");
  EXPECT_EQ(json::int_at(*value, "[0].line"), 4);
  EXPECT_EQ(json::string_at(*value, "[0].fix"), "did you mean 'hf'?");
}

TEST_F(Offline, CheckSeesFilesTogether) {
  const std::string route =
      "{model: {uri: hf://a/b}, router: {gateway: {}, route: {http: {spec: {rules: [{matches: "
      "[{path: {value: /x}}]}]}}}}}";
  const auto ran = run({"check", write("a.yaml", service("a", route)), write("b.yaml", service("b", route))});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.out, HasSubstr("[path-conflict]"));
}

TEST_F(Offline, CheckReadsTheSettingsOfOurOwnProgramsMoreStrictlyThanTheyDo) {
  const std::string service_of_a = service("a", "{model: {uri: hf://a/b}}");
  const std::string picker = R"(apiVersion: inference.networking.x-k8s.io/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: load-aware-scorer
  parameters: {treshold: 3}
- type: queu-scorer
)";
  const auto file = write("a.yaml", service_of_a + "---\n" + picker);
  const auto ran = run({"check", file});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.out, HasSubstr(file + ":10:16: error: plugins[0].parameters.treshold: unknown parameter"));
  EXPECT_THAT(ran.out, HasSubstr("did you mean 'threshold'?"));
  EXPECT_THAT(ran.out, HasSubstr(file + ":11:3: error: plugins[1].type: unregistered plugin type"));
  EXPECT_EQ(run({"check", write("b.yaml",
                                "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins: [{type: "
                                "queue-scorer}]\n")})
                .code,
            0);
  const auto gateway =
      run({"check", write("c.yaml",
                          "apiVersion: config.llmd.dev/v1alpha1\nkind: GatewayConfiguration\n"
                          "unified: {aliase: {}}\n")});
  EXPECT_EQ(gateway.code, 1);
  EXPECT_THAT(gateway.out, HasSubstr("c.yaml:3:11: error: unified.aliase"));
}

TEST_F(Offline, CheckAgainstAGpuShowsTheArithmetic) {
  const auto ran = run({"check", "--gpu", "80GB", kInputs + "000-08.yaml"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, HasSubstr("warning: spec: does not fit: weights 65.7 GiB + activations 3.6 GiB"));
  EXPECT_THAT(ran.out, Not(HasSubstr("spec.prefill: does not fit")));
  EXPECT_THAT(run({"check", "--gpu", "H10", kInputs + "000-08.yaml"}).err, HasSubstr("did you mean 'H100'?"));
}

TEST_F(Offline, RenderDrawsATree) {
  const auto ran = run({"render", "-o", "tree", kInputs + "000-08.yaml"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, StartsWith("LLMInferenceService default/llama-70b: 11 pods, 32 GPUs\n"));
  EXPECT_THAT(ran.out, HasSubstr("│  └─ 8 pods (decode), 16 GPUs\n"
                                 "│     ├─ Init: storage-initializer (runs once)\n"
                                 "│     ├─ Init: llm-d-routing-sidecar (keeps running), port 8000\n"
                                 "│     └─ Container: main, port 8001, 2 GPUs\n"));
}

TEST_F(Offline, RenderUsesTheFactsOfACluster) {
  std::filesystem::create_directory(folder_ / "facts");
  write(
      "facts/config.yaml",
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: inferenceservice-config, namespace: kserve}\ndata:\n"
      "  ingress: '{\"kserveIngressGateway\": \"gateways/main\"}'\n"
      "  storageInitializer: '{\"image\": \"mirror/initializer:v1\"}'\n");
  write("facts/list.yaml",
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: serving.kserve.io/v1alpha1\n  kind: "
        "LLMInferenceServiceConfig\n  metadata: {name: c, namespace: default}\n  spec: {replicas: 5}\n"
        "- apiVersion: apiextensions.k8s.io/v1\n  kind: CustomResourceDefinition\n  metadata: {name: "
        "inferencepools.inference.networking.k8s.io}\n  spec: {versions: [{name: v1, served: true}]}\n");
  const auto file =
      write("a.yaml", service("a",
                              "{model: {uri: hf://a/b}, baseRefs: [{name: c}], router: {gateway: {}, "
                              "route: {}, scheduler: {}}}"));
  const auto ran = run({"render", "--facts", (folder_ / "facts").string(), file});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("image: mirror/initializer:v1"));
  EXPECT_THAT(ran.out, HasSubstr("replicas: 5"));
  EXPECT_THAT(ran.out, HasSubstr("name: main\n    namespace: gateways"));
  EXPECT_THAT(ran.out, HasSubstr("apiVersion: inference.networking.k8s.io/v1\nkind: InferencePool"));
  EXPECT_THAT(ran.out,
              Not(HasSubstr("apiVersion: inference.networking.x-k8s.io/v1alpha2\nkind: InferencePool")));
}

TEST_F(Offline, ConvertedValuesAreRenderedLikeAnyService) {
  const auto converted = run({"convert", "--name", "ms-llama", kInputs + "004-02.yaml"});
  EXPECT_EQ(converted.code, 0);
  EXPECT_THAT(converted.out, StartsWith("apiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceService\n"
                                        "metadata:\n  name: llama\n"));
  EXPECT_THAT(converted.err, HasSubstr("004-02.yaml:9:1: note: routing:"));
  const auto from_service = run({"render", write("service.yaml", converted.out)});
  const auto from_values = run({"render", kInputs + "004-02.yaml"});
  EXPECT_EQ(from_service.code, 0);
  EXPECT_THAT(from_service.out, HasSubstr("name: llama-kserve"));
  EXPECT_THAT(from_values.out, HasSubstr("name: llama-3-2-1b-instruct-kserve"));
}

TEST_F(Offline, AVersionThereAndBackIsTheSameText) {
  const auto there = run({"convert", "--to", "v1alpha2", kInputs + "000-16.yaml"});
  EXPECT_THAT(there.out, HasSubstr("internal.serving.kserve.io/model-criticality: Critical"));
  EXPECT_THAT(there.out, Not(HasSubstr("\n    criticality:")));
  const auto back = run({"convert", "--to", "v1alpha1", "-o", "json", write("v2.yaml", there.out)});
  const auto original = json::parse_yaml(*read_file(kInputs + "000-16.yaml"), "a");
  EXPECT_EQ(json::parse(back.out)->at(0), original->front().value);
}

TEST_F(Offline, TheServerDialectBecomesKServes) {
  const auto file =
      write("s.yaml",
            "apiVersion: llm-d.ai/v1alpha1\nkind: LLMInferenceService\nmetadata: {name: q}\nspec:\n"
            "  replicas: 2\n  inferenceServer:\n    type: sglang\n    env: [{name: A, value: b}]\n"
            "    args: [--model-path, Qwen/Qwen2.5-0.5B, --tp=2]\n");
  const auto ran = run({"convert", file});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, HasSubstr("uri: hf://Qwen/Qwen2.5-0.5B"));
  EXPECT_THAT(ran.out, HasSubstr("tensor: 2"));
  EXPECT_THAT(ran.out, HasSubstr("- sglang.launch_server"));
  EXPECT_THAT(ran.out, HasSubstr("replicas: 2"));
  EXPECT_EQ(run({"check", file}).code, 0);
  const auto wrong = write("w.yaml",
                           "apiVersion: llm-d.ai/v1alpha1\nkind: LLMInferenceService\nmetadata: {name: q}\n"
                           "spec: {inferenceServer: {type: vlm, args: [--model, a/b], imag: x}}\n");
  const auto refused = run({"check", wrong});
  EXPECT_THAT(refused.out, HasSubstr("w.yaml:4:26: error: spec.inferenceServer.type: 'vlm' is not one of"));
  EXPECT_THAT(refused.out, HasSubstr("did you mean 'image'?"));
}

TEST_F(Offline, PlanCountsAndComputesMemory) {
  const auto ran = run({"plan", "--gpu", "H100", kInputs + "000-09.yaml"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, HasSubstr("70.6 billion parameters"));
  EXPECT_THAT(ran.out,
              HasSubstr("serving  2     8         16    storage-initializer  main     llama-70b-kserve"));
  EXPECT_THAT(ran.out, HasSubstr("KV tokens"));
  const auto as_json = json::parse(run({"plan", "-o", "json", "--gpu", "80GB", kInputs + "000-08.yaml"}).out);
  ASSERT_TRUE(as_json);
  EXPECT_EQ(json::int_at(*as_json, "[0].pods"), 11);
  EXPECT_EQ(json::int_at(*as_json, "[0].gpus"), 32);
  EXPECT_EQ(json::bool_at(*as_json, "[0].workloads[0].memoryPerGpu.fits"), false);
  EXPECT_EQ(json::bool_at(*as_json, "[0].workloads[1].memoryPerGpu.fits"), true);
}

TEST_F(Offline, PlanReadsTheConfigOfAModelThatIsHere) {
  std::filesystem::create_directory(folder_ / "tiny");
  write("tiny/config.json",
        R"({"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 64, "intermediate_size": 128,
            "vocab_size": 1000, "max_position_embeddings": 512})");
  const auto file =
      write("a.yaml", service("a",
                              "{model: {uri: \"file://tiny\"}, template: {containers: [{name: main, "
                              "resources: {limits: {nvidia.com/gpu: 1}}}]}}"));
  const auto value = json::parse(run({"plan", "-o", "json", file}).out);
  ASSERT_TRUE(value);
  EXPECT_EQ(json::double_at(*value, "[0].workloads[0].memoryPerGpu.kvBytesPerToken"), 2.0 * 2 * 64 * 2);
  EXPECT_EQ(json::int_at(*value, "[0].workloads[0].memoryPerGpu.longestSequence"), 512);
}

TEST_F(Offline, ExplainConfigNamesTheLayerOfEachField) {
  const auto ran = run({"explain-config", "my-llm", "-f", kInputs + "001-06.yaml"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("spec.replicas = 2\n    service\n"));
  EXPECT_THAT(ran.out,
              HasSubstr("spec.template.containers[0].image = \"vllm/vllm-openai:v0.6.3\"\n    baseRef "
                        "default/llm-base-config"));
  EXPECT_THAT(ran.out, HasSubstr("over preset kserve/kserve-config-llm-template"));
  EXPECT_THAT(ran.out, HasSubstr("requests[nvidia.com/gpu] = \"1\"\n    baseRef default/llm-gpu-config"));
  EXPECT_THAT(ran.out, HasSubstr("limits[nvidia.com/gpu] = \"1\"\n    default\n"));
  const auto missing = run({"explain-config", "other", "-f", kInputs + "001-06.yaml"});
  EXPECT_EQ(missing.code, 3);
  EXPECT_THAT(missing.err, HasSubstr("there are: my-llm"));
}

TEST_F(Offline, AMissingFileIsAnErrorOfItsKind) {
  EXPECT_EQ(run({"check", (folder_ / "absent.yaml").string()}).code, 3);
  EXPECT_EQ(run({"convert"}).code, 2);
}

}  // namespace
}  // namespace llmd::cli
