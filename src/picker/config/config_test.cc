// What is said about documents that do not load, or only with a warning.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "picker/datalayer/sources.h"
#include "picker/picker.h"
#include "picker/plan.h"

namespace llmd::picker {
namespace {

using testing::HasSubstr;

constexpr std::string_view kOlder =
    "apiVersion: inference.networking.x-k8s.io/v1alpha1\nkind: EndpointPickerConfig\n";

struct Mistake {
  std::string_view text;
  std::string_view said;
};
void PrintTo(const Mistake& mistake, std::ostream* out) {
  *out << mistake.said;
}

class WrongConfigurations : public testing::TestWithParam<Mistake> {};

TEST_P(WrongConfigurations, AreRefusedWithPlaceAndCause) {
  const auto picker = Picker::from_config(GetParam().text, "x.yaml");
  ASSERT_FALSE(picker);
  EXPECT_THAT(picker.error().text(), HasSubstr(std::string(GetParam().said)));
}

INSTANTIATE_TEST_SUITE_P(
    Table, WrongConfigurations,
    testing::Values(
        Mistake{"plugins:\n- type: queue-scorer\n- type: queu-scorer\n",
                "x.yaml:3:3: plugins[1].type: unregistered plugin type 'queu-scorer' (did you mean "
                "'queue-scorer'?)"},
        Mistake{"plugins:\n- type: load-aware-scorer\n  parameters:\n    treshold: 3\n",
                "x.yaml:4:5: plugins[0].parameters.treshold: unknown parameter (did you mean 'threshold'?)"},
        Mistake{"plugins:\n- type: load-aware-scorer\n  parameters: {threshold: many}\n",
                "plugins[0].parameters.threshold: expected an integer, got a string"},
        Mistake{"kind: Pod\nplugins: []\n", "no kind \"Pod\""},
        Mistake{"apiVersion: v2\nplugins: []\n", "for version \"v2\""},
        Mistake{"pluggins: []\n", "pluggins: unknown field (did you mean 'plugins'?)"},
        Mistake{"plugins: []\nplugins: []\n", "duplicate key"},
        Mistake{"featureGates: [warp]\nplugins: []\n", "feature gate 'warp' is unknown"},
        Mistake{"featureGates: [flowControl=maybe]\nplugins: []\n", "expected true or false"},
        Mistake{"plugins: [{type: queue-scorer}, {type: queue-scorer}]\n", "'queue-scorer' is given twice"},
        Mistake{"plugins: [{name: a}]\n", "type: is missing"},
        Mistake{"plugins: [{type: queue-scorer}]\nschedulingProfiles: [{name: a}, {name: a}]\n",
                "given twice"},
        Mistake{"plugins: [{type: queue-scorer}]\nschedulingProfiles: [{name: a}, {name: b}]\n",
                "no profile handler configured"},
        Mistake{"plugins: [{type: single-profile-handler}]\nschedulingProfiles: [{name: a}, {name: b}]\n",
                "exactly one profile"},
        Mistake{"plugins: [{type: single-profile-handler}, {type: data-parallel-profile-handler}]\n",
                "multiple profile handlers"},
        Mistake{"plugins: [{type: random-picker}, {type: max-score-picker}]\nschedulingProfiles:\n- name: a\n"
                "  plugins: [{pluginRef: random-picker}, {pluginRef: max-score-picker}]\n",
                "second picker"},
        Mistake{"plugins: [{type: queue-scorer}]\nschedulingProfiles: [{name: a, plugins: [{pluginRef: "
                "queue}]}]\n",
                "the plugin 'queue' is not defined"},
        Mistake{"plugins: []\nsaturationDetector: {pluginRef: mine}\n", "the plugin 'mine' is not defined"},
        Mistake{"plugins: []\nfeatureGates: [flowControl]\nflowControl: {priorityBands: [{priority: 1}, "
                "{priority: 1}]}\n",
                "1 is given twice"},
        Mistake{"plugins: []\nfeatureGates: [flowControl]\nflowControl: {maxBytes: -1}\n",
                "must not be negative"},
        Mistake{"plugins: [{type: queue-scorer}]\ndataLayer: {injectDefaults: false}\n",
                "no default producer found for missing data key"},
        Mistake{"plugins: [{type: session-id-producer}]\n", "exactly one of headerName and cookieName"},
        Mistake{"plugins: [{type: by-label}]\n", "parameters.label: is required"},
        Mistake{"plugins: [{type: disagg-profile-handler, parameters: {deciders: {prefill: nobody}}}]\n",
                "unregistered plugin 'nobody'"},
        Mistake{"plugins: [{type: prefix-cache-scorer, parameters: {prefixMatchInfoProducerName: mine}}]\n",
                "no default producer found"},
        Mistake{"plugins: []\ndataLayer: {crossReplicaSyncerPluginRef: x}\n",
                "no plugin that synchronises"}));

INSTANTIATE_TEST_SUITE_P(
    Structure, WrongConfigurations,
    testing::Values(
        Mistake{"plugins: [", "x.yaml:"},
        Mistake{"- type: queue-scorer\n", "expected one EndpointPickerConfig"},
        Mistake{"plugins: []\n---\nplugins: []\n", "expected one EndpointPickerConfig"},
        Mistake{"plugins: {type: queue-scorer}\n", "plugins: expected a list, got an object"},
        Mistake{"plugins: [queue-scorer]\n", "plugins: expected a list of objects"},
        Mistake{"Plugins: []\n", "Plugins: unknown field (did you mean 'plugins'?)"},
        Mistake{"plugins: [{Type: queue-scorer}]\n", "x.yaml:1:11: plugins[0].type: is missing"},
        Mistake{"plugins: [{type: queue-scorer, parameter: {}}]\n", "did you mean 'parameters'?"},
        Mistake{"plugins: [{type: load-aware-scorer, parameters: [1]}]\n",
                "plugins[0].parameters: expected an object"},
        Mistake{"plugins: []\napiVersion: llm-d.ai/v1alpha1\nkind: EndpointPicker\n",
                "no kind \"EndpointPicker\" is registered for version \"llm-d.ai/v1alpha1\""},
        Mistake{"featureGates: ['flowControl =true']\nplugins: []\n",
                "feature gate 'flowControl ' is unknown"},
        Mistake{"featureGates: flowControl\nplugins: []\n", "featureGates: expected a list of strings"},
        Mistake{"plugins: []\nschedulingProfiles: [{plugins: []}]\n", "is missing a name"},
        Mistake{"plugins: []\nschedulingProfiles: [{name: a, plugins: [{weight: 2}]}]\n",
                "schedulingProfiles[0].plugins[0].pluginRef: is missing"},
        Mistake{"plugins: [{type: queue-scorer}]\nschedulingProfiles: [{name: a, plugins: [{pluginRef: "
                "queue-scorer, weight: heavy}]}]\n",
                "weight: expected a number, got a string"},
        Mistake{"plugins: [{type: latency-slo-admiter}]\n", "did you mean 'latency-slo-admitter'?"}));

INSTANTIATE_TEST_SUITE_P(
    References, WrongConfigurations,
    testing::Values(
        Mistake{"plugins: [{type: queue-scorer}]\nsaturationDetector: {pluginRef: queue-scorer}\n",
                "the plugin 'queue-scorer' is no saturation detector"},
        Mistake{"plugins: []\nparser: {pluginRef: mine}\n",
                "requestHandler.parsers[0].pluginRef: the plugin 'mine' is not defined"},
        Mistake{"plugins: [{type: queue-scorer}]\nrequestHandler: {parsers: [{pluginRef: openai-parser}, "
                "{pluginRef: queue-scorer}]}\n",
                "x.yaml:2:57: requestHandler.parsers[1].pluginRef: the plugin 'queue-scorer' is no parser"},
        Mistake{"plugins: []\nrequestHandler: {parsers: [{pluginRef: openia-parser}]}\n",
                "the plugin 'openia-parser' is not defined"},
        Mistake{"plugins: []\ndataLayer: {sources: [{pluginRef: mine}]}\n",
                "dataLayer.sources[0].pluginRef: the plugin 'mine' is not defined"},
        Mistake{"plugins: [{type: queue-scorer}]\ndataLayer: {sources: [{pluginRef: queue-scorer}]}\n",
                "the plugin 'queue-scorer' is no data source"},
        Mistake{
            "plugins: []\ndataLayer: {sources: [{pluginRef: metrics-data-source, extractors: [{pluginRef: "
            "mine}]}]}\n",
            "dataLayer.sources[0].extractors[0].pluginRef: the plugin 'mine' is not defined"},
        Mistake{"plugins: [{type: queue-scorer}]\ndataLayer: {sources: [{pluginRef: metrics-data-source, "
                "extractors: [{pluginRef: queue-scorer}]}]}\n",
                "the plugin 'queue-scorer' is no extractor"},
        Mistake{"plugins: []\ndataLayer: {discovery: {pluginRef: mine}}\n",
                "dataLayer.discovery.pluginRef: the plugin 'mine' is not defined"},
        Mistake{"plugins: [{type: queue-scorer}]\ndataLayer: {discovery: {pluginRef: queue-scorer}}\n",
                "the plugin 'queue-scorer' is no endpoint discovery"},
        Mistake{"plugins: [{type: file-discovery}]\n", "plugins[0].parameters.path: is required"},
        Mistake{"plugins: [{type: queue-scorer}, {type: disagg-profile-handler, parameters: {deciders: "
                "{prefill: queue-scorer}}}]\nschedulingProfiles: [{name: prefill}, {name: decode}]\n",
                "queue-scorer"},
        Mistake{"plugins: [{type: decision-tree-filter, name: a, parameters: {current: b}}, {type: "
                "decision-tree-filter, name: b, parameters: {current: a}}]\n",
                "the plugins 'b' and 'a' depend on each other"},
        Mistake{"plugins: [{type: decision-tree-filter, name: a, parameters: {current: a}}]\n",
                "the plugins 'a' and 'a' depend on each other"},
        Mistake{
            "plugins: [{type: prefix-cache-scorer, parameters: {prefixMatchInfoProducerName: q}}, {name: q, "
            "type: queue-scorer}]\n",
            "no default producer found for missing data key prefix/q, consumed by prefix-cache-scorer"}));

TEST(ConfigTest, UnknownParametersAreWarningsInTheOlderGroupAndErrorsInACheck) {
  const std::string text =
      std::string(kOlder) + "plugins:\n- type: load-aware-scorer\n  parameters: {treshold: 3}\n";
  const auto picker = Picker::from_config(text, "old.yaml");
  ASSERT_TRUE(picker) << picker.error().text();
  EXPECT_THAT((*picker)->plan().configuration.warnings,
              testing::Contains(HasSubstr("plugins[0].parameters.treshold: unknown parameter")));
  EXPECT_THAT(check_configuration(text, "old.yaml").errors, testing::Contains(HasSubstr("treshold")));
}

TEST(ConfigTest, ACheckReportsEveryMistake) {
  const auto report = check_configuration(
      "plugins:\n- type: queu-scorer\n- type: load-aware-scorer\n  parameters: {x: 1}\n- type: by-label\n",
      "c");
  EXPECT_EQ(report.errors.size(), 4) << testing::PrintToString(report.errors);
}

TEST(ConfigTest, ParametersOfThePrefixProducerMayStandAtItsScorer) {
  const auto picker = Picker::from_config(
      "plugins: [{type: prefix-cache-scorer, parameters: {lruCapacityPerServer: 7}}]\n", "x");
  ASSERT_TRUE(picker) << picker.error().text();
  EXPECT_NE((*picker)->plan().find("approx-prefix-cache-producer"), nullptr);
}

TEST(ConfigTest, FlagsSayHowEnginesAreAskedWhereTheDocumentDoesNot) {
  struct Row {
    const char* text;
    const char* path;
  };
  LoadOptions load;
  load.metrics_source["path"] = "/flag";
  for (const Row& row :
       {Row{"", "/flag"}, Row{"plugins: [{type: queue-scorer}]\n", "/flag"},
        Row{"plugins: [{type: queue-scorer}, {type: metrics-data-source}]\n", "/flag"},
        Row{"plugins: [{type: queue-scorer}, {type: metrics-data-source, parameters: {path: /own}}]\n",
            "/own"}}) {
    const auto plan = build_plan(parse_configuration(row.text, "x.yaml").value(), {.load = load}).value();
    ASSERT_EQ(plan->polls.size(), 1U);
    EXPECT_EQ(plan->polls[0].source->options.path, row.path) << row.text;
  }
}

TEST(ConfigTest, EveryTypeIsRegisteredOnce) {
  std::set<std::string_view> seen;
  for (const PluginType& type : plugin_types()) {
    EXPECT_TRUE(seen.insert(type.type).second) << type.type;
  }
  EXPECT_TRUE(std::ranges::is_sorted(plugin_types(), {}, &PluginType::type));
}

}  // namespace
}  // namespace llmd::picker
