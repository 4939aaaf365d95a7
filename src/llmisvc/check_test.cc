#include "llmisvc/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace llmd::llmisvc {
namespace {

std::string check_text(std::string_view yaml) {
  std::string text;
  for (const Finding& finding : check_manifest(yaml, "service.yaml")) {
    text += render_finding(finding) + "\n";
  }
  return text;
}

// A service with `spec` below the usual head; the spec begins in line 4.
std::string service(std::string_view spec, std::string_view name = "a") {
  return fmt::format(
      "apiVersion: serving.kserve.io/v1alpha1\nkind: LLMInferenceService\nmetadata: {{name: {}}}\nspec:\n{}",
      name, spec);
}

TEST(CheckManifest, AGoodServiceHasNoFindings) {
  EXPECT_EQ(check_text(service("  model: {uri: hf://a/b}\n  router: {gateway: {}, route: {}}\n")), "");
}

struct Mistake {
  const char* name;
  std::string yaml;
  const char* output;
};

class CheckManifestMistake : public testing::TestWithParam<Mistake> {};

TEST_P(CheckManifestMistake, IsPrintedWithItsPlaceAndAFix) {
  EXPECT_EQ(check_text(GetParam().yaml), GetParam().output);
}

INSTANTIATE_TEST_SUITE_P(
    Table, CheckManifestMistake,
    testing::Values(
        Mistake{"Misspelt", service("  model: {uri: hf://a/b}\n  replicsa: 2\n"),
                "service.yaml:6:3: error: spec.replicsa: unknown field [unknown-field]\n"
                "  fix: did you mean 'replicas'?\n"},
        Mistake{"DeepInThePod",
                service("  model: {uri: hf://a/b}\n  template:\n    containers:\n    - name: main\n"
                        "      imagePullpolicy: Always\n"),
                "service.yaml:9:7: error: spec.template.containers[0].imagePullpolicy: unknown field "
                "[unknown-field]\n"
                "  fix: did you mean 'imagePullPolicy'?\n"},
        Mistake{"WrongType", service("  model: {uri: hf://a/b}\n  replicas: two\n"),
                "service.yaml:6:3: error: spec.replicas: expected an integer, got a string [wrong-type]\n"},
        Mistake{"NumberAsText",
                service("  model: {uri: hf://a/b}\n  template: {containers: [{name: main, env: [{name: X,"
                        " value: 8}]}]}\n"),
                "service.yaml:6:56: error: spec.template.containers[0].env[0].value: expected a string, got "
                "an integer "
                "[wrong-type]\n  fix: write it in quotes: \"8\"\n"},
        Mistake{"Negative", service("  model: {uri: hf://a/b}\n  replicas: -1\n"),
                "service.yaml:6:3: error: spec.replicas: must be at least 0, got -1 [out-of-range]\n"},
        Mistake{
            "NoScheme", service("  model: {uri: meta-llama/Llama-3-8B}\n"),
            "service.yaml:5:11: error: spec.model.uri: 'meta-llama/Llama-3-8B' has no scheme [model-uri]\n"
            "  fix: write where the model is, for example hf://meta-llama/Llama-3-8B\n"},
        Mistake{"UnknownScheme", service("  model: {uri: hff://a/b}\n"),
                "service.yaml:5:11: error: spec.model.uri: unknown scheme 'hff://' [model-uri]\n"
                "  fix: did you mean 'hf'?\n"},
        Mistake{"NoModel", service("  replicas: 1\n"),
                "service.yaml:4:1: error: spec: 'model' is required [missing-field]\n"},
        Mistake{
            "BadName", service("  model: {uri: hf://a/b}\n", "Llama3.1"),
            "service.yaml:3:12: error: metadata.name: 'Llama3.1' cannot be part of a host name: lower case "
            "letters, "
            "digits and '-', at most 63, the first one a letter [bad-name]\n  fix: for example llama3-1\n"},
        Mistake{"Criticality", service("  model: {uri: hf://a/b, criticality: Critcal}\n"),
                "service.yaml:5:26: error: spec.model.criticality: 'Critcal' is not one of Critical, "
                "Standard, Normal, "
                "Sheddable [bad-value]\n  fix: did you mean 'Critical'?\n"},
        Mistake{"CriticalityAlone", service("  model: {uri: hf://a/b, criticality: Critical}\n"),
                "service.yaml:5:26: warning: spec.model.criticality: nothing looks at criticality without a "
                "scheduler "
                "[criticality-without-scheduler]\n  fix: add router.scheduler: {}\n"},
        Mistake{"DataWithoutLocal", service("  model: {uri: hf://a/b}\n  parallelism: {data: 4}\n"),
                "service.yaml:6:3: error: spec.parallelism: data needs dataLocal: how many of the copies run "
                "in one pod "
                "[parallelism]\n  fix: add dataLocal: 4\n"},
        Mistake{"TooFewAccelerators",
                service("  model: {uri: hf://a/b}\n  parallelism: {tensor: 8}\n  template: {containers: "
                        "[{name: main, "
                        "resources: {limits: {nvidia.com/gpu: \"4\"}}}]}\n"),
                "service.yaml:7:3: error: spec.template: the pod asks for 4 GPUs, its parallelism needs 8 "
                "(tensor 8 x "
                "dataLocal 1 x pipeline 1) [accelerators]\n  fix: request 8 GPUs, or change parallelism\n"},
        Mistake{"TwoContainersOfOneName",
                service("  model: {uri: hf://a/b}\n  template: {containers: [{name: main}, {name: main}]}\n"),
                "service.yaml:6:41: error: spec.template.containers[1]: name \"main\" is already taken "
                "[duplicate]\n"},
        Mistake{
            "NoMain",
            service("  model: {uri: hf://a/b}\n  template: {containers: [{name: main, $patch: delete}]}\n"),
            "service.yaml:4:1: error: spec: spec.template: no container is called 'main' [render]\n"
            "  fix: the model server's container must be called main\n"},
        Mistake{"Syntax", "a: [1\nb: 2\n",
                "service.yaml:2:2: error: did not find expected ',' or ']' [syntax]\n"}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(CheckManifest, AFullDocumentOfAnotherKindIsLeftAlone) {
  EXPECT_EQ(check_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {anything: goes}\n"), "");
}

}  // namespace
}  // namespace llmd::llmisvc
