// Variables of configs, in the pod that a service gets from them.
#include "llmisvc/expand.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/path.h"
#include "llmisvc/compile.h"

namespace llmd::llmisvc {
namespace {

using testing::HasSubstr;

constexpr std::string_view kService = R"(apiVersion: serving.kserve.io/v1alpha2
kind: LLMInferenceService
metadata: {name: chat, namespace: team, labels: {tier: gold}}
spec:
  baseRefs: [{name: base}]
  model: {uri: hf://o/m, name: 'qwen "7b"', lora: {adapters: [{name: one, uri: hf://o/one}, {name: two, uri: hf://o/two}]}}
  parallelism: {tensor: 2}
  router: {route: {}, gateway: {}, scheduler: {pool: {ref: {name: shared}}}}
  template: {terminationGracePeriodSeconds: 120, containers: []}
  kvCacheOffloading: {cpu: 1k}
  prefill: {template: {containers: []}, parallelism: {pipeline: 2, tensor: 1}, worker: {terminationGracePeriodSeconds: 10}}
)";

// What `text`, the value of a variable in a config's container, becomes; findings where it fails.
std::string expanded(std::string_view text) {
  const std::string yaml = fmt::format(
      "{}---\napiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceServiceConfig\n"
      "metadata: {{name: base, namespace: team}}\nspec:\n  template:\n    containers:\n    - name: main\n    "
      "  env:\n"
      "      - name: RESULT\n        value: {}\n",
      kService, json::write(json::Value(json::String(text.data(), text.size()))));
  const auto manifest = parse_manifest(yaml, "test.yaml");
  EXPECT_TRUE(manifest) << manifest.error().text();
  const Compiled compiled =
      compile(manifest->services.front().value.get_object(), with_configs({}, *manifest));
  if (has_errors(compiled.findings)) {
    return "error: " + error_of(compiled.findings).text();
  }
  const auto found = std::ranges::find_if(compiled.objects, [](const json::Object& object) {
    return object.at("kind") == "Deployment" && object.at("metadata").at("name") == "chat-kserve";
  });
  if (found == compiled.objects.end()) {
    return "no deployment";
  }
  const json::Value deployment(*found);
  for (const json::Value& variable : *json::array_at(deployment, "spec.template.spec.containers[0].env")) {
    if (json::string_at(variable, "name") == "RESULT") {
      return std::string(json::string_at(variable, "value").value_or("absent"));
    }
  }
  return "not there";
}

struct Case {
  const char* name;
  const char* text;
  const char* result;
};

class Expand : public testing::TestWithParam<Case> {};

TEST_P(Expand, GivesTheValue) {
  EXPECT_EQ(expanded(GetParam().text), GetParam().result);
}

INSTANTIATE_TEST_SUITE_P(
    Variables, Expand,
    testing::Values(
        Case{"RouterValue", "{{ if .Spec.Router.Route }}routed{{ end }}", "routed"},
        Case{"OneVariableTwice", "{{ .Name }}{{ .Name }}-{{ .Namespace }}", "chatchat-team"},
        Case{"Name", "{{ .Name }}", "chat"}, Case{"Namespace", "{{.Namespace}}", "team"},
        Case{"Several", "{{.Namespace}}/{{.Name}}:{{.Spec.Parallelism.Tensor}}", "team/chat:2"},
        // Placed as data: nothing in it can break out.
        Case{"AQuoteInAValue", "{{ .Spec.Model.Name }}", "qwen \"7b\""},
        Case{"Label", "{{ index .ObjectMeta.Labels \"tier\" }}", "gold"},
        Case{"Nested", "{{ .Spec.Router.Scheduler.Pool.Ref.Name }}", "shared"},
        Case{"ListElement", "{{ (index .Spec.Model.LoRA.Adapters 1).Name }}", "two"},
        Case{"Range", "{{ range .Spec.Model.LoRA.Adapters }}{{ .Name }};{{ end }}", "one;two;"},
        Case{"ChildName", "{{ ChildName .Name `-epp-service` }}", "chat-epp-service"},
        Case{"ChildNameOfALongName",
             "{{ ChildName `llama-3-1-405b-instruct-fp8-disaggregated-production` `-inference-pool` }}",
             "llama-3-1-405b-i56ff44559d67db0fe9dab4d46043f486-inference-pool"},
        Case{"DefaultForWhatIsNotSet", "{{ or .Spec.Parallelism.Pipeline 1 }}", "1"},
        Case{"ConditionOnWhatIsNotSet", "{{ if .Spec.Tracing }}traced{{ else }}silent{{ end }}", "silent"},
        Case{"Global", "{{ .GlobalConfig.IngressGatewayName }}", "kserve-ingress-gateway"},
        Case{"GlobalPool", "{{ .GlobalConfig.InferencePoolNamespacedName }}", "team/shared"},
        Case{"Comparison", "{{ if gt .Spec.Parallelism.Tensor 1 }}many{{ end }}", "many"},
        // 120 seconds of grace, 15 of them in the hook, 5 spare.
        Case{"ShutdownTimeout", "{{ shutdownTimeout .Spec.Template 15 }}", "100"},
        Case{"ShutdownTimeoutOfNoPod", "{{ shutdownTimeout .Spec.Worker 15 }}", "40"},
        Case{"ShutdownTimeoutWithoutAGracePeriod", "{{ shutdownTimeout .Spec.Prefill.Template 15 }}", "40"},
        Case{"ShutdownTimeoutOfAShortGracePeriod", "{{ shutdownTimeout .Spec.Prefill.Worker 15 }}", "0"},
        Case{"NoTiers", "[{{ kvTransferConfig .Spec.Prefill.KVCacheOffloading }}]", "[]"},
        Case{"Tiers", "{{ kvTransferConfig .Spec.KVCacheOffloading }}",
             R"(--kv-transfer-config {"kv_connector":"OffloadingConnector","kv_role":"kv_both",)"
             R"("kv_connector_extra_config":{"spec_name":"TieringOffloadingSpec","cpu_bytes_to_use":1000}})"},
        Case{"ExpandedOnce", "{{ `{{ .Name }}` }}", "{{ .Name }}"}, Case{"NoTemplate", "plain", "plain"}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(ExpandError, NamesTheConfigThePathAndTheVariable) {
  const std::string error = expanded("{{ .Spec.Model.Nam }}");
  EXPECT_THAT(error, HasSubstr("error: "));
  EXPECT_THAT(error, HasSubstr("team/base"));
  EXPECT_THAT(error, HasSubstr("Nam"));
}

TEST(ExpandError, BadSyntaxIsOne) {
  EXPECT_THAT(expanded("{{ .Name "), HasSubstr("error: "));
}

TEST(ExpandError, WhatIsNobodysBusinessIsNotReachable) {
  for (const char* text : {"{{ .GlobalConfig.CredentialConfig }}", "{{ .GlobalConfig.StorageConfig }}",
                           "{{ .GlobalConfig.Anything }}"}) {
    EXPECT_THAT(expanded(text), HasSubstr("error: ")) << text;
  }
}

}  // namespace
}  // namespace llmd::llmisvc
