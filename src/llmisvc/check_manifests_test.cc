// Several manifests together: configs, the services that use them, and services that meet.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "llmisvc/check.h"
#include "llmisvc/testing_manifests.h"

namespace llmd::llmisvc {
namespace {

struct BadConfig {
  const char* name;
  const char* spec;
  const char* finding;
};
class RefusedConfig : public testing::TestWithParam<BadConfig> {};

TEST_P(RefusedConfig, HasAFinding) {
  EXPECT_THAT(check_text(std::string(kConfig) + GetParam().spec), testing::HasSubstr(GetParam().finding));
}

INSTANTIATE_TEST_SUITE_P(
    Table, RefusedConfig,
    testing::Values(BadConfig{"UnknownField", "  modle: {name: a}\n", "error: spec.modle: unknown field"},
                    BadConfig{"BadSyntax", "  model: {name: '{{ .Name'}\n", "[template]"},
                    BadConfig{"UnknownVariable", "  model: {name: '{{ .Spec.Nothing }}'}\n", "[template]"},
                    BadConfig{"ConfigsOfItsOwn", "  baseRefs: [{name: b}]\n", "[nested-base-refs]"},
                    BadConfig{"NoPickers", "  router: {scheduler: {replicas: 0}}\n", "[out-of-range]"}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(CheckManifests, AConfigOfOneFileServesAnother) {
  const std::string config = std::string(kConfig) + "  replicas: 2\n";
  const std::string user = service("  model: {uri: hf://a/b}\n  baseRefs: [{name: c}]\n");
  const std::vector<ManifestText> files{{user, "user.yaml"}, {config, "config.yaml"}};
  EXPECT_TRUE(check_manifests(files).empty());
}

TEST(CheckManifests, TwoFilesWithTheSamePathConflict) {
  const std::string a = service("  model: {uri: hf://a/b}\n" + std::string(kRoute), "a");
  const std::string b = service("  model: {uri: hf://a/b}\n" + std::string(kRoute), "b");
  const std::vector<ManifestText> files{{a, "a.yaml"}, {b, "b.yaml"}};
  const auto findings = check_manifests(files);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].code, "path-conflict");
  EXPECT_EQ(findings[0].source, "b.yaml");
}

TEST(CheckManifests, ATemplateFailsInItsConfigAndOnlyForTheServicesItIsWrongFor) {
  const std::string config =
      std::string(kConfig) +
      "  template:\n    terminationGracePeriodSeconds: 30\n    containers:\n    - name: main\n"
      "      args: [\"{{ .Spec.Prefill.Parallelism.Tensor }}\"]\n";
  const auto findings = check_manifest(config, "config.yaml");
  ASSERT_EQ(findings.size(), 1U) << check_text(config);
  EXPECT_EQ(findings[0].severity, Severity::Warning);
  EXPECT_EQ(findings[0].line, 9U);
  EXPECT_THAT(findings[0].sentence, testing::HasSubstr("for services with one pod"));
}

TEST(CheckManifests, AModelThatDoesNotFitTheGpuIsAWarningWithTheArithmetic) {
  const std::string text = service(
      "  model: {uri: hf://meta-llama/Llama-3-70B-Instruct}\n  parallelism: {tensor: 2}\n  template: "
      "{containers: "
      "[{name: main, resources: {limits: {nvidia.com/gpu: 2}}}]}\n");
  const ManifestText file{text, "a.yaml"};
  const auto findings = check_manifests({&file, 1}, {}, {.gpu = *accelerator_type("80GB")});
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].severity, Severity::Warning);
  EXPECT_THAT(findings[0].sentence,
              testing::StartsWith("does not fit: weights 65.7 GiB + activations 3.6 GiB"));
  EXPECT_THAT(findings[0].fix, testing::HasSubstr("parallelism.tensor: 4"));
}

}  // namespace
}  // namespace llmd::llmisvc
