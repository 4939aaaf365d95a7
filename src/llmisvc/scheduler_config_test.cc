#include "llmisvc/scheduler_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/path.h"
#include "json/yaml.h"
#include "llmisvc/compile.h"

namespace llmd::llmisvc {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

struct Migration {
  const char* name;
  const char* version;
  const char* before;
  const char* after;
};

class Migrate : public testing::TestWithParam<Migration> {};

TEST_P(Migrate, BringsAConfigurationToThePickersVersion) {
  auto config = *json::parse_object(GetParam().before);
  const auto version = scheduler_version(GetParam().version);
  ASSERT_TRUE(version);
  migrate_scheduler_config(config, *version);
  const auto wanted = *json::parse_object(GetParam().after);
  EXPECT_EQ(json::Value(config), json::Value(wanted)) << json::write(json::Value(config));
  migrate_scheduler_config(config, *version);
  EXPECT_EQ(json::Value(config), json::Value(wanted)) << "a second time changes something";
}

INSTANTIATE_TEST_SUITE_P(
    Versions, Migrate,
    testing::Values(
        Migration{"OldNamesStayForAnOldPicker", "0.6.0",
                  R"({"plugins":[{"type":"prefill-header-handler"}],"schedulingProfiles":[]})",
                  R"({"plugins":[{"type":"prefill-header-handler"}],"schedulingProfiles":[]})"},
        Migration{
            "PluginsAreRenamedWhereTheyAreNamedAndUsed", "0.7.0",
            R"({"plugins":[{"type":"prefill-header-handler","name":"prefill-header-handler"}],)"
            R"("schedulingProfiles":[{"name":"d","plugins":[{"pluginRef":"prefill-header-handler"}]}]})",
            R"({"plugins":[{"type":"disagg-headers-handler","name":"disagg-headers-handler"}],)"
            R"("schedulingProfiles":[{"name":"d","plugins":[{"pluginRef":"disagg-headers-handler"}]}]})"},
        Migration{
            "NoThresholdMeansAlways", "0.7.0",
            R"({"plugins":[{"type":"pd-profile-handler","parameters":{"threshold":0}}],"schedulingProfiles":[]})",
            R"({"plugins":[{"type":"always-disagg-pd-decider"},{"type":"disagg-profile-handler",)"
            R"("parameters":{"deciders":{"prefill":"always-disagg-pd-decider"}}}],"schedulingProfiles":[]})"},
        // Four characters are about one token; rounded up.
        Migration{
            "AThresholdInCharactersBecomesTokens", "0.7.0",
            R"({"plugins":[{"type":"pd-profile-handler","parameters":{"threshold":101}}],"schedulingProfiles":[]})",
            R"({"plugins":[{"type":"prefix-based-pd-decider","parameters":{"nonCachedTokens":26}},)"
            R"({"type":"disagg-profile-handler","parameters":{"deciders":{"prefill":"prefix-based-pd-decider"}}}],)"
            R"("schedulingProfiles":[]})"},
        Migration{
            "ANamedDeciderMoves", "0.7.0",
            R"({"plugins":[{"type":"disagg-profile-handler","parameters":{"deciderPluginName":"mine"}}],"schedulingProfiles":[]})",
            R"({"plugins":[{"type":"disagg-profile-handler","parameters":{"deciders":{"prefill":"mine"}}}],"schedulingProfiles":[]})"},
        Migration{
            "BlockSizesInHashesGo", "0.7.0",
            R"({"plugins":[{"type":"a","parameters":{"x":{"hashBlockSize":5,"y":1}}}],"schedulingProfiles":[]})",
            R"({"plugins":[{"type":"a","parameters":{"x":{"y":1}}}],"schedulingProfiles":[]})"},
        Migration{"MetricsAreReadByAnotherPlugin", "0.8.0",
                  R"({"plugins":[{"type":"model-server-protocol-metrics"}],"schedulingProfiles":[]})",
                  R"({"plugins":[{"type":"core-metrics-extractor"}],"schedulingProfiles":[]})"},
        Migration{
            "BlockSizeGetsItsNewName", "",
            R"({"plugins":[{"type":"prefix-cache-scorer","parameters":{"blockSize":5}}],"schedulingProfiles":[]})",
            R"({"plugins":[{"type":"prefix-cache-scorer","parameters":{"blockSize":5,"blockSizeTokens":5}}],"schedulingProfiles":[]})"},
        Migration{
            "TheIndexersSettingsMoveUp", "",
            R"({"plugins":[{"type":"precise-prefix-cache-scorer","parameters":{"indexerConfig":)"
            R"({"tokenProcessorConfig":{"blockSize":64}}}}],"schedulingProfiles":[]})",
            R"({"plugins":[{"type":"precise-prefix-cache-scorer","parameters":{"indexerConfig":)"
            R"({"tokenProcessorConfig":{"blockSize":64}},"tokenProcessorConfig":{"blockSize":64}}}],"schedulingProfiles":[]})"},
        Migration{
            "TheScorerKeepsOnlyItsProducer", "0.9.0",
            R"({"plugins":[{"type":"prefix-cache-scorer","parameters":{"blockSize":5,)"
            R"("prefixMatchInfoProducerName":"p"}},{"type":"prefix-cache-scorer","parameters":{"a":1}}],"schedulingProfiles":[]})",
            R"({"plugins":[{"type":"prefix-cache-scorer","parameters":{"prefixMatchInfoProducerName":"p"}},)"
            R"({"type":"prefix-cache-scorer"}],"schedulingProfiles":[]})"}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(SchedulerVersionText, IsANumberOrAnError) {
  EXPECT_EQ(*scheduler_version("v0.9.1"), (SchedulerVersion{0, 9}));
  EXPECT_EQ(*scheduler_version(""), (SchedulerVersion{0, 0}));
  EXPECT_FALSE(scheduler_version("newest"));
}

TEST(MetricFlags, BecomeAPlugin) {
  std::vector<std::string> arguments{"--v=4", "--total-queued-requests-metric", "vllm:waiting",
                                     "-kv-cache-usage-percentage-metric=vllm:usage"};
  json::Object config;
  move_metric_flags(arguments, config);
  EXPECT_THAT(arguments, ElementsAre("--v=4"));
  const json::Value value(config);
  EXPECT_EQ(json::string_at(value, "plugins[0].parameters.engineConfigs[0].queuedRequestsSpec"),
            "vllm:waiting");
  EXPECT_EQ(json::string_at(value, "plugins[0].parameters.engineConfigs[0].kvUsageSpec"), "vllm:usage");
}

// ---- What arrives at the picker.

std::vector<std::string> picker_arguments(std::string_view scheduler) {
  const auto manifest = parse_manifest(
      fmt::format(
          "apiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceService\nmetadata: {{name: a}}\nspec: "
          "{{model: {{uri: \"hf://o/m\"}}, router: {{route: {{}}, scheduler: {{{}}}}}}}\n",
          scheduler),
      "test.yaml");
  EXPECT_TRUE(manifest) << manifest.error().text();
  const Compiled compiled = compile(manifest->services.front().value.get_object(), {});
  EXPECT_FALSE(has_errors(compiled.findings)) << error_of(compiled.findings).text();
  std::vector<std::string> arguments;
  for (const json::Object& object : compiled.objects) {
    const json::Value value(object);
    if (json::string_at(value, "metadata.name") == "a-kserve-router-scheduler") {
      for (const json::Value& word : *json::array_at(value, "spec.template.spec.containers[0].args")) {
        arguments.emplace_back(word.get_string().c_str());
      }
    }
  }
  return arguments;
}

TEST(SchedulerArguments, AnInlineConfigurationIsPassedInThePickersVersion) {
  const auto arguments = picker_arguments(
      "config: {inline: {kind: EndpointPickerConfig, plugins: [{type: pd-profile-handler, parameters: "
      "{threshold: 0}}], "
      "schedulingProfiles: []}}");
  ASSERT_EQ(arguments.size(), 2U);
  EXPECT_EQ(arguments[0], "--config-text");
  EXPECT_THAT(arguments[1], HasSubstr("disagg-profile-handler"));
  EXPECT_THAT(arguments[1], Not(HasSubstr("pd-profile-handler")));
}

TEST(SchedulerArguments, AConfigurationFlagOfTheTemplateStays) {
  EXPECT_THAT(picker_arguments("template: {containers: [{name: main, args: ['--config-file=/x']}]}"),
              ElementsAre("--config-file=/x"));
}

TEST(SchedulerArguments, SeveralPickersElectALeaderOnce) {
  EXPECT_THAT(picker_arguments("replicas: 2"), Contains("--ha-enable-leader-election"));
  const auto own = picker_arguments(
      "replicas: 2, template: {containers: [{name: main, args: ['--ha-enable-leader-election=true']}]}");
  EXPECT_THAT(own, Contains("--ha-enable-leader-election=true"));
  EXPECT_THAT(own, Not(Contains("--ha-enable-leader-election")));
}

}  // namespace
}  // namespace llmd::llmisvc
