// What a service's optional wishes become: autoscaling, traces, tiers of the KV cache, devices, credentials,
// monitors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/path.h"
#include "llmisvc/compile.h"
#include "llmisvc/kv_cache.h"

namespace llmd::llmisvc {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;

// A service in namespace `team`; `metadata` and `spec` are members in flow form.
Compiled compile_service(std::string_view spec, std::string_view annotations = "", Facts facts = {},
                         std::string_view others = "") {
  const std::string yaml = fmt::format(
      "{}apiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceService\n"
      "metadata: {{name: a, namespace: team, uid: u, annotations: {{{}}}}}\nspec: {{{}{}}}\n",
      others, annotations, spec.starts_with("model:") ? "" : "model: {uri: \"hf://o/m\"}, ", spec);
  const auto manifest = parse_manifest(yaml, "test.yaml");
  EXPECT_TRUE(manifest) << manifest.error().text();
  Compiled compiled =
      compile(manifest->services.front().value.get_object(), with_configs(std::move(facts), *manifest));
  EXPECT_FALSE(has_errors(compiled.findings)) << error_of(compiled.findings).text();
  return compiled;
}

json::Value object_named(const Compiled& compiled, std::string_view kind_and_name) {
  for (const json::Object& object : compiled.objects) {
    const json::Value value(object);
    if (fmt::format("{}/{}", *json::string_at(value, "kind"), *json::string_at(value, "metadata.name")) ==
        kind_and_name) {
      return value;
    }
  }
  ADD_FAILURE() << "no " << kind_and_name;
  return json::Value(json::Object());
}

std::vector<std::string> kinds(const Compiled& compiled) {
  std::vector<std::string> result;
  for (const json::Object& object : compiled.objects) {
    result.emplace_back(object.at("kind").as_string().c_str());
  }
  return result;
}

std::vector<std::string> words(const json::Value& root, std::string_view path) {
  std::vector<std::string> result;
  const auto* list = json::array_at(root, path);
  for (const json::Value& item : list != nullptr ? *list : json::Array()) {
    result.emplace_back(item.is_string() ? std::string(item.get_string()) : json::write(item));
  }
  return result;
}

// NAME=value, NAME=<secret:key> or NAME=<field> of a container.
std::vector<std::string> variables(const json::Value& container) {
  std::vector<std::string> result;
  const auto* list = json::array_at(container, "env");
  for (const json::Value& one : list != nullptr ? *list : json::Array()) {
    std::string value(json::string_at(one, "value").value_or(""));
    if (const auto secret = json::string_at(one, "valueFrom.secretKeyRef.name")) {
      value = fmt::format("<{}:{}>", *secret, *json::string_at(one, "valueFrom.secretKeyRef.key"));
    } else if (const auto field = json::string_at(one, "valueFrom.fieldRef.fieldPath")) {
      value = fmt::format("<{}>", *field);
    }
    result.push_back(fmt::format("{}={}", *json::string_at(one, "name"), value));
  }
  return result;
}

json::Value main_container(const Compiled& compiled, std::string_view deployment = "Deployment/a-kserve") {
  return *json::find(object_named(compiled, deployment), "spec.template.spec.containers[0]");
}

// ---- Autoscaling.

TEST(Scaling, AnHpaFollowsTheWishOfTheVariantAutoscaler) {
  const auto compiled = compile_service(
      "scaling: {minReplicas: 2, maxReplicas: 5, wva: {variantCost: '3.5', hpa: {behavior: {scaleUp: {}}}}}");
  const auto variant = object_named(compiled, "VariantAutoscaling/a-kserve-va");
  EXPECT_EQ(json::write(*json::find(variant, "spec.scaleTargetRef")),
            R"({"apiVersion":"apps/v1","kind":"Deployment","name":"a-kserve"})");
  EXPECT_EQ(json::string_at(variant, "spec.variantCost"), "3.5");
  EXPECT_EQ(json::string_at(variant, "spec.modelID"), "a");
  const auto hpa = object_named(compiled, "HorizontalPodAutoscaler/a-kserve-hpa");
  EXPECT_EQ(json::int_at(hpa, "spec.minReplicas"), 2);
  EXPECT_EQ(json::int_at(hpa, "spec.maxReplicas"), 5);
  EXPECT_EQ(json::string_at(hpa, "spec.metrics[0].external.metric.name"), "wva_desired_replicas");
  EXPECT_EQ(json::string_at(hpa, "spec.metrics[0].external.metric.selector.matchLabels.variant_name"),
            "a-kserve-va");
  EXPECT_NE(json::find(hpa, "spec.behavior.scaleUp"), nullptr);
  EXPECT_EQ(json::find(object_named(compiled, "Deployment/a-kserve"), "spec.replicas"), nullptr);
}

TEST(Scaling, KedaAsksPrometheusForBothHalves) {
  Facts facts;
  facts.prometheus = {
      .url = "https://p:9090", .skips_verification = true, .auth_modes = "bearer", .trigger_name = "t"};
  const auto compiled = compile_service(
      "scaling: {minReplicas: 2, maxReplicas: 5, wva: {keda: {pollingInterval: 7, idleReplicaCount: 1}}}, "
      "prefill: {scaling: {maxReplicas: 3, wva: {keda: {}}}}",
      "", facts);
  const auto decode = object_named(compiled, "ScaledObject/a-kserve-keda");
  EXPECT_EQ(json::int_at(decode, "spec.pollingInterval"), 7);
  EXPECT_EQ(json::int_at(decode, "spec.idleReplicaCount"), 1);
  EXPECT_EQ(json::string_at(decode, "spec.triggers[0].metadata.query"),
            R"(wva_desired_replicas{variant_name="a-kserve-va",exported_namespace="team"})");
  EXPECT_EQ(json::string_at(decode, "spec.triggers[0].metadata.unsafeSsl"), "true");
  EXPECT_EQ(json::string_at(decode, "spec.triggers[0].authenticationRef.name"), "t");
  const auto prefill = object_named(compiled, "ScaledObject/a-kserve-prefill-keda");
  EXPECT_EQ(json::int_at(prefill, "spec.minReplicaCount"), 1);
  EXPECT_EQ(json::string_at(prefill, "spec.scaleTargetRef.name"), "a-kserve-prefill");
}

TEST(Scaling, AGroupIsScaledAsAWhole) {
  const auto compiled = compile_service(
      "parallelism: {data: 4, dataLocal: 2}, worker: {containers: []}, scaling: {maxReplicas: 2, wva: {hpa: "
      "{}}}");
  EXPECT_EQ(json::write(*json::find(object_named(compiled, "HorizontalPodAutoscaler/a-kserve-hpa"),
                                    "spec.scaleTargetRef")),
            R"({"apiVersion":"leaderworkerset.x-k8s.io/v1","kind":"LeaderWorkerSet","name":"a-kserve-mn"})");
}

TEST(Scaling, OnOneMachineTheLeastNumberRuns) {
  const auto compiled =
      compile_service("scaling: {minReplicas: 2, maxReplicas: 5, wva: {hpa: {}}}", "", local_facts());
  EXPECT_THAT(kinds(compiled), Not(Contains("HorizontalPodAutoscaler")));
  EXPECT_EQ(json::int_at(object_named(compiled, "Deployment/a-kserve"), "spec.replicas"), 2);
}

// ---- Traces.

TEST(Tracing, AnEmptyWishTakesThePresetsValues) {
  const auto compiled = compile_service("tracing: {}, prefill: {}, router: {scheduler: {}}");
  const auto decode = main_container(compiled);
  EXPECT_THAT(words(decode, "args"), ElementsAre("--otlp-traces-endpoint", "http://otel-collector:4317",
                                                 "--collect-detailed-traces", "all"));
  EXPECT_THAT(
      variables(decode),
      IsSupersetOf({"OTEL_SERVICE_NAME=inference-server-decode",
                    "OTEL_EXPORTER_OTLP_ENDPOINT=http://otel-collector:4317", "OTEL_TRACES_EXPORTER=otlp",
                    "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.05"}));
  EXPECT_THAT(variables(main_container(compiled, "Deployment/a-kserve-prefill")),
              Contains("OTEL_SERVICE_NAME=inference-server-prefill"));
  const auto picker = main_container(compiled, "Deployment/a-kserve-router-scheduler");
  EXPECT_THAT(words(picker, "args"), Contains("--tracing=true"));
  EXPECT_THAT(variables(picker), Contains("OTEL_SERVICE_NAME=inference-scheduler"));
}

TEST(Tracing, WhatTheUserSaysStays) {
  const auto compiled = compile_service(
      "tracing: {exporterEndpoint: 'http://mine:1'}, template: {containers: [{name: main, args: "
      "['--otlp-traces-endpoint=http://other:2'], env: [{name: OTEL_SERVICE_NAME, value: chat}]}]}");
  const auto server = main_container(compiled);
  EXPECT_THAT(words(server, "args"),
              ElementsAre("--otlp-traces-endpoint=http://other:2", "--collect-detailed-traces", "all"));
  EXPECT_THAT(variables(server), Contains("OTEL_SERVICE_NAME=chat"));
}

TEST(Tracing, WithoutAnEndpointTheServerSendsNothing) {
  const auto compiled = compile_service("tracing: {exporterEndpoint: ''}");
  EXPECT_EQ(json::find(main_container(compiled), "args"), nullptr);
}

// ---- Cache tiers.

constexpr std::string_view kTiers =
    "kvCacheOffloading: {cpu: 10Gi, evictionPolicy: arc, secondary: [{fileSystem: {emptyDir: {size: "
    "100Gi}}}, "
    "{fileSystem: {pvc: {ref: {name: shared, path: cache}}}}, {fileSystem: {pvc: {spec: {storageClassName: "
    "fast}}}}]}";

TEST(CacheTiers, AreVolumesOfTheServer) {
  const auto compiled = compile_service(kTiers);
  const auto pod = *json::find(object_named(compiled, "Deployment/a-kserve"), "spec.template.spec");
  EXPECT_THAT(
      words(pod, "volumes"),
      IsSupersetOf({R"({"name":"kv-cache-secondary-0","emptyDir":{"sizeLimit":"100Gi"}})",
                    R"({"name":"kv-cache-secondary-1","persistentVolumeClaim":{"claimName":"shared"}})",
                    R"({"name":"kv-cache-secondary-2","ephemeral":{"volumeClaimTemplate":{"spec":)"
                    R"({"storageClassName":"fast"}}}})"}));
  EXPECT_THAT(
      words(pod, "containers[0].volumeMounts"),
      IsSupersetOf({R"({"name":"kv-cache-secondary-0","mountPath":"/mnt/kv-cache-0"})",
                    R"({"name":"kv-cache-secondary-1","mountPath":"/mnt/kv-cache-1","subPath":"cache"})"}));
  EXPECT_EQ(json::string_at(pod, "containers[0].resources.requests.ephemeral-storage"), "100Gi");
}

TEST(CacheTiers, TheFlagDependsOnTheVersionTheImageNames) {
  const auto args = [](std::string_view image, std::string_view own) {
    return words(
        main_container(compile_service(fmt::format(
            "{}, template: {{containers: [{{name: main, image: '{}', args: [{}]}}]}}", kTiers, image, own))),
        "args");
  };
  EXPECT_THAT(args("vllm/vllm-openai:v0.22.1", ""), Contains("--kv-transfer-config"));
  EXPECT_THAT(args("vllm/vllm-openai:v0.21.0", ""), Not(Contains("--kv-transfer-config")));
  EXPECT_THAT(args("vllm/vllm-openai:latest", ""), Not(Contains("--kv-transfer-config")));
  EXPECT_THAT(args("vllm/vllm-openai:v0.22.1", "'--kv-transfer-config={}'"),
              ElementsAre("--kv-transfer-config={}"));
}

// No shell reads it: quotes arrive as they are.
TEST(CacheTiers, TheirJsonIsOneWordOfTheCommandLine) {
  const auto compiled = compile_service(
      "kvCacheOffloading: {cpu: 1k}, template: {containers: [{name: main, image: "
      "'vllm/vllm-openai:v0.22.1'}]}");
  const auto line = words(main_container(compiled), "args");
  const auto flag = std::ranges::find(line, "--kv-transfer-config");
  ASSERT_NE(flag, line.end());
  ASSERT_NE(flag + 1, line.end());
  const auto config = json::parse_object(*(flag + 1));
  ASSERT_TRUE(config) << *(flag + 1);
  EXPECT_EQ(json::int_at(json::Value(*config), "kv_connector_extra_config.cpu_bytes_to_use"), 1000);
}

struct TransferCase {
  const char* name;
  const char* tiers;
  const char* result;
};
class Transfer : public testing::TestWithParam<TransferCase> {};

TEST_P(Transfer, NamesEveryTier) {
  EXPECT_EQ(kv_transfer_config(*json::parse_object(GetParam().tiers)), GetParam().result);
}

INSTANTIATE_TEST_SUITE_P(
    Tiers, Transfer,
    testing::Values(
        TransferCase{
            "Plain", R"({"cpu":"1Gi"})",
            R"({"kv_connector":"OffloadingConnector","kv_role":"kv_both","kv_connector_extra_config":)"
            R"({"spec_name":"TieringOffloadingSpec","cpu_bytes_to_use":1073741824}})"},
        TransferCase{
            "Policy", R"({"cpu":1000,"evictionPolicy":"arc"})",
            R"({"kv_connector":"OffloadingConnector","kv_role":"kv_both","kv_connector_extra_config":)"
            R"({"spec_name":"TieringOffloadingSpec","cpu_bytes_to_use":1000,"eviction_policy":"arc"}})"},
        TransferCase{
            "Tiers", R"({"cpu":"1k","secondary":[{},{}]})",
            R"({"kv_connector":"OffloadingConnector","kv_role":"kv_both","kv_connector_extra_config":)"
            R"({"spec_name":"TieringOffloadingSpec","cpu_bytes_to_use":1000,"secondary_tiers":)"
            R"([{"type":"fs","root_dir":"/mnt/kv-cache-0"},{"type":"fs","root_dir":"/mnt/kv-cache-1"}]}})"}),
    [](const auto& param) { return std::string(param.param.name); });

// ---- Devices.

TEST(Devices, AreClaimedForTheServerUnlessAnotherContainerIsNamed) {
  const std::string annotations =
      "serving.kserve.io/exp-dra-device-class: gpu.example.com, serving.kserve.io/exp-dra-device-count: '2', "
      "serving.kserve.io/exp-dra-cel-selector: \"a == 1\\nb == 2\"";
  const auto compiled = compile_service("template: {containers: [{name: side, image: x}]}", annotations);
  const auto claims = object_named(compiled, "ResourceClaimTemplate/a-managed-dra");
  const auto request = *json::find(claims, "spec.spec.devices.requests[0]");
  EXPECT_EQ(
      json::write(request),
      R"({"exactly":{"deviceClassName":"gpu.example.com","count":2,"selectors":[{"cel":{"expression":"a == 1"}},)"
      R"({"cel":{"expression":"b == 2"}}]},"name":"device"})");
  const auto pod = *json::find(object_named(compiled, "Deployment/a-kserve"), "spec.template.spec");
  EXPECT_EQ(json::string_at(pod, "resourceClaims[0].resourceClaimTemplateName"), "a-managed-dra");
  EXPECT_EQ(json::string_at(pod, "containers[0].name"), "main");
  EXPECT_EQ(json::string_at(pod, "containers[0].resources.claims[0].name"), "managed-device");
  const auto named = compile_service("template: {containers: [{name: side, image: x}]}",
                                     annotations + ", serving.kserve.io/exp-dra-container-name: side");
  EXPECT_EQ(json::find(main_container(named), "resources.claims"), nullptr);
}

// ---- Credentials.

constexpr std::string_view kAccount = R"(apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: team, annotations: {cloud.example.com/role: r}}
secrets: [{name: keys}]
imagePullSecrets: [{name: registry}]
---
)";

std::string secret(std::string_view name, std::string_view annotations, std::string_view data) {
  return fmt::format(
      "apiVersion: v1\nkind: Secret\nmetadata: {{name: {}, namespace: team, annotations: {{{}}}}}\ndata: "
      "{{{}}}\n---\n",
      name, annotations, data);
}

std::vector<std::string> downloader_variables(std::string_view secret_text, std::string_view annotations = "",
                                              std::string_view account = "reader") {
  const auto compiled =
      compile_service(fmt::format("template: {{serviceAccountName: {}, containers: []}}", account),
                      annotations, {}, std::string(kAccount) + std::string(secret_text));
  return variables(
      *json::find(object_named(compiled, "Deployment/a-kserve"), "spec.template.spec.initContainers[0]"));
}

TEST(Credentials, KeysOfTheAccountsSecretsAreReferredToAndNeverCopied) {
  EXPECT_THAT(downloader_variables(secret("keys", "", "HF_TOKEN: c2VjcmV0")),
              Contains("HF_TOKEN=<keys:HF_TOKEN>"));
  EXPECT_THAT(downloader_variables(secret("keys",
                                          "serving.kserve.io/s3-endpoint: 'minio:9000', "
                                          "serving.kserve.io/s3-usehttps: '0'",
                                          "AWS_ACCESS_KEY_ID: aQ==, AWS_SECRET_ACCESS_KEY: aw==")),
              IsSupersetOf({"AWS_ACCESS_KEY_ID=<keys:AWS_ACCESS_KEY_ID>",
                            "AWS_SECRET_ACCESS_KEY=<keys:AWS_SECRET_ACCESS_KEY>", "S3_USE_HTTPS=0",
                            "S3_ENDPOINT=minio:9000", "AWS_ENDPOINT_URL=http://minio:9000"}));
}

TEST(Credentials, GooglesKeyFileIsMounted) {
  EXPECT_THAT(downloader_variables(secret("keys", "", "gcloud-application-credentials.json: e30=")),
              Contains("GOOGLE_APPLICATION_CREDENTIALS=/var/secrets/gcloud-application-credentials.json"));
}

TEST(Credentials, AnAnnotationNamesASecretWithoutAnAccount) {
  EXPECT_THAT(downloader_variables(secret("hub", "", "HF_TOKEN: c2VjcmV0"),
                                   "serving.kserve.io/storageSecretName: hub", "other"),
              Contains("HF_TOKEN=<hub:HF_TOKEN>"));
}

TEST(Credentials, TheSchedulersAccountMayPullWhatTheModelServersMay) {
  const auto compiled = compile_service(
      "template: {serviceAccountName: reader, containers: []}, router: {scheduler: {}}", "", {}, kAccount);
  const auto account = object_named(compiled, "ServiceAccount/a-epp-sa");
  EXPECT_EQ(json::string_at(account, "imagePullSecrets[0].name"), "registry");
  EXPECT_EQ(json::string_at(account, "secrets[0].name"), "keys");
  EXPECT_EQ(json::write(*json::find(account, "metadata.annotations")), R"({"cloud.example.com/role":"r"})");
}

TEST(Credentials, TheClustersAuthoritiesReachTheDownloader) {
  Facts facts;
  facts.ca_bundle = "global-ca-bundle";
  const auto compiled = compile_service("replicas: 1", "", facts);
  const auto pod = *json::find(object_named(compiled, "Deployment/a-kserve"), "spec.template.spec");
  EXPECT_THAT(words(pod, "volumes"),
              Contains(R"({"name":"cabundle-cert","configMap":{"name":"global-ca-bundle"}})"));
  EXPECT_THAT(variables(*json::find(pod, "initContainers[0]")),
              Contains("CA_BUNDLE_VOLUME_MOUNT_POINT=/etc/ssl/custom-certs"));
}

// ---- Monitors.

TEST(Monitors, AreRenderedOnlyWhereAskedFor) {
  EXPECT_THAT(kinds(compile_service("replicas: 1")), Not(Contains("PodMonitor")));
  const auto compiled =
      compile_service("prefill: {}, router: {scheduler: {}}", "serving.kserve.io/monitoring: 'true'");
  const auto decode = object_named(compiled, "PodMonitor/a-kserve-monitor");
  EXPECT_EQ(json::int_at(decode, "spec.podMetricsEndpoints[0].targetPort"), 8001);
  EXPECT_EQ(json::object_at(decode, "spec.selector.matchLabels")->at("llm-d.ai/role"), json::Value("decode"));
  EXPECT_EQ(json::int_at(object_named(compiled, "PodMonitor/a-kserve-prefill-monitor"),
                         "spec.podMetricsEndpoints[0].targetPort"),
            8000);
  EXPECT_EQ(json::string_at(object_named(compiled, "ServiceMonitor/a-epp-monitor"), "spec.endpoints[0].port"),
            "metrics");
}

// ---- Adapters in the words of each engine.

TEST(Adapters, AreLoadedInTheEnginesWords) {
  const auto args = [](std::string_view image) {
    return words(
        main_container(compile_service(fmt::format("model: {{uri: 'hf://o/m', name: m, lora: {{maxRank: 16, "
                                                   "adapters: [{{name: sql, uri: 'hf://o/sql'}}]}}}}, "
                                                   "template: {{containers: [{{name: main, image: '{}'}}]}}",
                                                   image))),
        "args");
  };
  EXPECT_THAT(args("vllm/vllm-openai:v0.11.0"),
              ElementsAre("--enable-lora", "--max-lora-rank=16", "--lora-modules",
                          R"({"name":"sql","path":"/mnt/lora/sql"})",
                          R"({"name":"publishers/team/models/sql","path":"/mnt/lora/sql"})"));
  EXPECT_THAT(args("lmsysorg/sglang:v0.5.6"),
              ElementsAre("--enable-lora", "--max-lora-rank=16", "--lora-paths", "sql=/mnt/lora/sql"));
  EXPECT_THAT(args("ghcr.io/ggml-org/llama.cpp:server"), ElementsAre("--lora", "/mnt/lora/sql"));
}

}  // namespace
}  // namespace llmd::llmisvc
