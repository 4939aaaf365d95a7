#include "llmisvc/convert_values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/path.h"
#include "llmisvc/compile.h"

namespace llmd::llmisvc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

struct Outcome {
  json::Value service;
  std::vector<std::string> findings;  // "path: sentence", warnings and errors only
  std::vector<json::Object> objects;
};

Outcome convert(std::string_view yaml, const ValuesOptions& options = {}) {
  const auto documents = json::parse_yaml(yaml, "values.yaml");
  EXPECT_TRUE(documents) << documents.error().text();
  ConvertedValues converted = convert_values(documents->front(), options);
  Outcome outcome{.service = {}, .objects = converted.objects};
  if (!converted.objects.empty()) {
    outcome.service = json::Value(converted.objects.front());
    const auto compiled = compile(converted.objects.front(), {});
    EXPECT_FALSE(has_errors(compiled.findings)) << error_of(compiled.findings).text();
  }
  for (const Finding& finding : converted.findings) {
    EXPECT_GT(finding.line, 0U) << finding.path;
    if (finding.severity != Severity::Note) {
      outcome.findings.push_back(fmt::format("{} {}: {}", finding.line, finding.path, finding.sentence));
    }
  }
  return outcome;
}

std::string at(const json::Value& root, std::string_view path) {
  const auto* value = json::find(root, path);
  return value == nullptr     ? "absent"
         : value->is_string() ? std::string(value->get_string().c_str())
                              : json::write(*value);
}

const std::string kMain = "spec.template.containers[0]";

TEST(Values, TheModelBecomesTheServicesModel) {
  const auto outcome = convert(R"(
modelArtifacts: {name: Qwen/Qwen3-32B, size: 80Gi, authSecretName: token, labels: {llm-d.ai/inferenceServing: "true", llm-d.ai/role: x}}
decode: {replicas: 3, containers: [{name: vllm, image: "vllm/vllm-openai:v0.12.0", modelCommand: vllmServe}]}
)");
  EXPECT_THAT(outcome.findings, IsEmpty());
  EXPECT_EQ(at(outcome.service, "apiVersion"), "serving.kserve.io/v1alpha2");
  EXPECT_EQ(at(outcome.service, "metadata.name"), "qwen3-32b");
  EXPECT_EQ(at(outcome.service, "spec.model"), R"({"uri":"hf://Qwen/Qwen3-32B","name":"Qwen/Qwen3-32B"})");
  EXPECT_EQ(at(outcome.service, "spec.replicas"), "3");
  EXPECT_EQ(at(outcome.service, "spec.labels"),
            R"({"llm-d.ai/inferenceServing":"true","llm-d.ai/inference-serving":"true"})");
  EXPECT_EQ(at(outcome.service, kMain + ".env[0].valueFrom.secretKeyRef.name"), "token");
  EXPECT_EQ(at(outcome.service, "spec.template.initContainers[0].name"), "storage-initializer");
  EXPECT_EQ(at(outcome.service, "spec.template.volumes[0].emptyDir.sizeLimit"), "80Gi");
  EXPECT_EQ(at(outcome.service, "spec.prefill"), "absent");
}

TEST(Values, ExpressionsOfTheFileItselfAreReplaced) {
  const auto outcome = convert(R"(
modelArtifacts: {name: org/model, uri: "hf://{{ .Values.modelArtifacts.name }}"}
decode: {containers: [{modelCommand: vllmServe, args: ["--seed", "{{ .Values.seed }}"]}]}
seed: 7
)");
  EXPECT_EQ(at(outcome.service, "spec.model.uri"), "hf://org/model");
  EXPECT_EQ(at(outcome.service, kMain + ".args"), R"(["--seed","7"])");
}

TEST(Values, ArgumentsThatAreFieldsMove) {
  const auto outcome = convert(R"(
modelArtifacts: {uri: hf://a/b, name: a/b}
decode: {containers: [{modelCommand: imageDefault, args: [--tensor-parallel-size=4, --served-model-name, mine, --port, "9", --seed, "1"]}]}
)");
  EXPECT_EQ(at(outcome.service, "spec.parallelism.tensor"), "4");
  EXPECT_EQ(at(outcome.service, "spec.model.name"), "mine");
  EXPECT_EQ(at(outcome.service, kMain + ".args"), R"(["--seed","1"])");
}

TEST(Values, ParallelismIsCompletedFromWhatIsStated) {
  const auto parallelism = [](std::string_view text, std::string_view rest = "") {
    return at(
        convert(
            fmt::format(
                "modelArtifacts: {{uri: hf://a/b, name: a/b}}\n{}\ndecode: {{parallelism: {}, containers: "
                "[{{modelCommand: vllmServe}}]}}",
                rest, text))
            .service,
        "spec.parallelism");
  };
  EXPECT_EQ(parallelism("{tensor: 2}"), R"({"tensor":2})");
  EXPECT_EQ(parallelism("{data: 4}"), R"({"data":4,"dataLocal":4})");
  EXPECT_EQ(parallelism("{dataLocal: 2, workers: 4}", "multinode: true"), R"({"data":8,"dataLocal":2})");
  EXPECT_EQ(parallelism("{data: 16, workers: 2, tensor: 1}", "multinode: true"),
            R"({"tensor":1,"data":16,"dataLocal":8})");
}

TEST(Values, PodFieldsComeFromTheRoleAndFromExtraConfig) {
  const auto outcome = convert(R"(
modelArtifacts: {uri: hf://a/b, name: a/b}
schedulerName: mine
serviceAccountOverride: account
decode:
  nodeSelector: {gpu: h100}
  priorityClassName: none
  acceleratorTypes: {labelKey: gpu/type, labelValues: [h100, h200]}
  podAnnotations: {a: b}
  extraConfig: {runtimeClassName: nvidia, nodeSelector: {zone: z1, gpu: other}, volumes: [{name: v, emptyDir: {}}]}
  volumes: [{name: w, emptyDir: {}}]
  containers: [{modelCommand: vllmServe, extraConfig: {tty: true}}, {name: beside, image: x, mountModelVolume: false}]
)");
  EXPECT_THAT(
      outcome.findings,
      ElementsAre("10 decode.extraConfig.nodeSelector.gpu: also set outside of extraConfig, which wins"));
  EXPECT_EQ(at(outcome.service, "spec.template.runtimeClassName"), "nvidia");
  EXPECT_EQ(at(outcome.service, "spec.template.schedulerName"), "mine");
  EXPECT_EQ(at(outcome.service, "spec.template.serviceAccountName"), "account");
  EXPECT_EQ(at(outcome.service, "spec.template.priorityClassName"), "absent");
  EXPECT_EQ(at(outcome.service, "spec.template.nodeSelector"), R"({"gpu":"h100","zone":"z1"})");
  EXPECT_EQ(at(outcome.service, "spec.annotations"), R"({"a":"b"})");
  EXPECT_EQ(at(outcome.service, "spec.template.volumes[1].name"), "v");
  EXPECT_EQ(at(outcome.service, kMain + ".tty"), "true");
  EXPECT_EQ(at(outcome.service, "spec.template.containers[1]"), R"({"name":"beside","image":"x"})");
  EXPECT_THAT(at(outcome.service, "spec.template.affinity"), HasSubstr(R"("values":["h100","h200"])"));
}

TEST(Values, APrefillHalfBringsTheSidecarAndItsSettings) {
  const auto outcome = convert(R"(
modelArtifacts: {uri: hf://a/b, name: a/b}
routing: {servicePort: 8000, proxy: {image: "sidecar:v1", connector: sglang, secure: true, targetPort: 8200}}
decode:
  containers: [{modelCommand: vllmServe, ports: [{containerPort: 8200, name: m}, {containerPort: 5557}],
                readinessProbe: {httpGet: {path: /health, port: m}}}]
prefill: {create: true, replicas: 2, parallelism: {tensor: 2}, containers: [{modelCommand: vllmServe}]}
)");
  EXPECT_THAT(outcome.findings, IsEmpty());
  EXPECT_EQ(at(outcome.service, "spec.prefill.replicas"), "2");
  EXPECT_EQ(at(outcome.service, "spec.prefill.parallelism.tensor"), "2");
  EXPECT_EQ(
      at(outcome.service, "spec.template.initContainers[0]"),
      R"({"name":"llm-d-routing-sidecar","image":"sidecar:v1","args":["--kv-connector=sglang","--secure-proxy=true"]})");
  EXPECT_EQ(at(outcome.service, kMain + ".ports"), R"([{"containerPort":5557}])");
  EXPECT_EQ(at(outcome.service, kMain + ".readinessProbe.httpGet.port"), "8001");
}

TEST(Values, AFileThatStartsItsEngineItselfKeepsItsWay) {
  const auto outcome = convert(R"(
modelArtifacts: {uri: "pvc+hf://claim/hub/org/model", name: org/model, mountPath: /cache}
decode: {parallelism: {tensor: 2}, containers: [{modelCommand: custom, command: [bash, -c], args: ["run $HF_HUB_CACHE"], mountModelVolume: true}]}
)");
  EXPECT_EQ(at(outcome.service, "spec.model.uri"), "hf://org/model");
  EXPECT_EQ(at(outcome.service, "spec.storageInitializer.enabled"), "false");
  EXPECT_EQ(at(outcome.service, kMain + ".command"), R"(["bash","-c"])");
  EXPECT_THAT(at(outcome.service, kMain + ".env"),
              HasSubstr(R"({"name":"HF_HUB_CACHE","value":"/cache/hub"})"));
  EXPECT_THAT(at(outcome.service, kMain + ".env"), HasSubstr(R"({"name":"TP_SIZE","value":"2"})"));
  EXPECT_EQ(at(outcome.service, "spec.template.volumes[0].persistentVolumeClaim.claimName"), "claim");
}

TEST(Values, TheSimulatorNeedsNoGpu) {
  const auto outcome = convert(R"(
modelArtifacts: {uri: hf://random/model, name: random/model}
decode: {containers: [{image: "ghcr.io/llm-d/llm-d-inference-sim:v0.5.0", modelCommand: imageDefault}]}
)");
  EXPECT_EQ(at(outcome.service, kMain + ".command"), R"(["/app/llm-d-inference-sim"])");
  EXPECT_EQ(at(outcome.service, kMain + ".args"),
            R"(["--model","random/model","--port","8000","--served-model-name","random/model"])");
  EXPECT_EQ(at(outcome.service, kMain + ".resources"), "absent");
}

TEST(Values, OtherAcceleratorsAreAskedForByTheirName) {
  const auto outcome = convert(R"(
modelArtifacts: {uri: hf://a/b, name: a/b}
accelerator: {type: amd, env: {amd: [{name: HSA, value: "1"}]}}
decode: {parallelism: {tensor: 4}, containers: [{modelCommand: vllmServe}]}
)");
  EXPECT_EQ(at(outcome.service, kMain + ".resources.limits"), R"({"amd.com/gpu":"4"})");
  EXPECT_EQ(at(outcome.service, kMain + ".env[0].name"), "HSA");
}

TEST(Values, ChartsUpTo02SaidTheRouteThemselves) {
  const auto outcome = convert(R"(
modelArtifacts: {uri: hf://a/b, name: a/b}
routing:
  modelName: served
  parentRefs: [{name: gw, namespace: gws}]
  httpRoute: {create: true, matches: [{path: {type: PathPrefix, value: /x}}]}
  inferencePool: {create: true}
  inferenceModel: {create: true, criticality: Critical}
  epp: {create: true, replicas: 2, image: "epp:v1"}
decode: {containers: [{modelCommand: vllmServe}]}
)");
  EXPECT_THAT(outcome.findings, IsEmpty());
  EXPECT_EQ(at(outcome.service, "spec.model.name"), "served");
  EXPECT_EQ(at(outcome.service, "spec.router.gateway.refs"), R"([{"name":"gw","namespace":"gws"}])");
  EXPECT_EQ(at(outcome.service, "spec.router.route.http.spec.rules[0].matches[0].path.value"), "/x");
  EXPECT_EQ(at(outcome.service, "spec.router.scheduler.replicas"), "2");
  EXPECT_EQ(at(outcome.service, "metadata.annotations[internal.serving.kserve.io/model-criticality]"),
            "Critical");
}

TEST(Values, WhatHasNoCounterpartIsListedWithItsLine) {
  const auto outcome = convert(R"(
modelArtifacts: {uri: hf://a/b, name: a/b}
decod: {}
routing: {servicePort: 9000, strange: 1}
decode:
  autoscaling: {enabled: true}
  annotations: {x: "y"}
  containers: [{modelCommand: vllmServe, oddity: 1}]
)");
  EXPECT_THAT(outcome.findings,
              testing::UnorderedElementsAre(HasSubstr("3 decod: unknown key of the chart"),
                                            HasSubstr("4 routing.servicePort: pods listen on 8000"),
                                            HasSubstr("4 routing.strange: has no counterpart"),
                                            HasSubstr("6 decode.autoscaling.enabled: replicas"),
                                            HasSubstr("7 decode.annotations: annotations of the Deployment"),
                                            HasSubstr("8 decode.containers[0].oddity: has no counterpart")));
  EXPECT_EQ(at(outcome.service, "spec.replicas"), "absent");
}

TEST(Values, TracingClaimsAndExtraObjects) {
  const auto outcome = convert(R"(
modelArtifacts: {uri: hf://a/b, name: a/b}
tracing: {enabled: true, otlpEndpoint: "http://c:4317", sampling: {samplerArg: "0.5"}}
accelerator: {dra: true, resourceClaimTemplates: {nvidia: {class: gpu.nvidia.com, count: 2, selectors: [{cel: {expression: x}}]}}}
extraObjects: [{apiVersion: v1, kind: ConfigMap, metadata: {name: "{{ .Release.Name }}-map"}}]
decode: {containers: [{modelCommand: vllmServe}]}
)",
                               {.name = "ms-chat", .name_space = "prod"});
  EXPECT_THAT(outcome.findings, IsEmpty());
  EXPECT_EQ(at(outcome.service, "metadata.name"), "chat");
  EXPECT_EQ(at(outcome.service, "metadata.namespace"), "prod");
  EXPECT_EQ(at(outcome.service, "spec.tracing"),
            R"({"exporterEndpoint":"http://c:4317","samplerArg":"0.5"})");
  EXPECT_EQ(at(outcome.service, "metadata.annotations[serving.kserve.io/exp-dra-device-count]"), "2");
  ASSERT_EQ(outcome.objects.size(), 2U);
  EXPECT_EQ(at(json::Value(outcome.objects[1]), "metadata.name"), "ms-chat-map");
}

}  // namespace
}  // namespace llmd::llmisvc
