// What a document becomes: gates, defaults, injected plugins and their order.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "picker/datalayer/sources.h"
#include "picker/picker.h"
#include "picker/plan.h"
#include "picker/plugins/parsers.h"

namespace llmd::picker {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;

// The plan of a text; what is left out of the test's text has its defaults.
std::shared_ptr<const Plan> plan_of(std::string_view text, LoadOptions load = {.allow_experimental = true}) {
  auto configuration = parse_configuration(text, "x.yaml", load);
  EXPECT_TRUE(configuration) << configuration.error().text();
  auto plan = build_plan(std::move(configuration).value(), {.load = load});
  EXPECT_TRUE(plan) << plan.error().text();
  return std::move(plan).value();
}

template <typename Pointers>
std::vector<std::string> names(const Pointers& plugins) {
  std::vector<std::string> all;
  for (const auto& plugin : plugins) {
    all.push_back(plugin->name);
  }
  return all;
}
// "queue-scorer 2", in order.
std::vector<std::string> scorers(const Profile& profile) {
  std::vector<std::string> all;
  for (const WeightedScorer& each : profile.scorers) {
    all.push_back(fmt::format("{} {}", each.scorer->name, each.weight));
  }
  return all;
}
std::vector<std::string> polls(const Plan& plan) {
  std::vector<std::string> all;
  for (const Plan::Poll& poll : plan.polls) {
    all.push_back(poll.source->name);
    for (const CoreMetricsExtractor* extractor : poll.extractors) {
      all.back() += " > " + extractor->name;
    }
  }
  return all;
}

TEST(Loading, WithoutADocumentThereAreThreeScorersAndTheirProducers) {
  for (const char* text : {"", "  \n"}) {
    const auto plan = plan_of(text, {});
    ASSERT_EQ(plan->profiles.size(), 1) << text;
    EXPECT_EQ(plan->profiles[0].name, "default");
    EXPECT_THAT(scorers(plan->profiles[0]),
                ElementsAre("queue-scorer 2", "kv-cache-utilization-scorer 2", "prefix-cache-scorer 3"));
    EXPECT_EQ(plan->profiles[0].picker->type, "max-score-picker");
    EXPECT_EQ(plan->handler->type, "single-profile-handler");
    EXPECT_EQ(plan->detector->type, "utilization-detector");
    EXPECT_THAT(names(plan->producers), Contains("approx-prefix-cache-producer"));
    EXPECT_THAT(polls(*plan), ElementsAre("metrics-data-source > core-metrics-extractor"));
    EXPECT_THAT(names(plan->parsers),
                ElementsAre("openai-parser", "anthropic-parser", "vllmhttp-parser", "passthrough-parser"));
  }
}

TEST(Loading, ADocumentWithoutPluginsChoosesByChance) {
  const auto plan = plan_of("plugins: []\n");
  EXPECT_THAT(plan->profiles[0].scorers, IsEmpty());
  EXPECT_THAT(plan->profiles[0].filters, IsEmpty());
  EXPECT_EQ(plan->profiles[0].picker->type, "max-score-picker");
}

TEST(Loading, JsonIsYamlAndKindAndVersionMayBeLeftOut) {
  for (
      const char* text :
      {R"({"plugins": [{"type": "queue-scorer"}]})",
       R"({"apiVersion": "llm-d.ai/v1alpha1", "kind": "EndpointPickerConfig", "plugins": [{"type": "queue-scorer"}]})",
       "kind: EndpointPickerConfig\nplugins: [{type: queue-scorer}]\n",
       "apiVersion: inference.networking.x-k8s.io/v1alpha1\nplugins: [{type: queue-scorer, parameters: }]\n",
       "plugins: [{type: queue-scorer, parameters: {}}]\n"}) {
    EXPECT_THAT(scorers(plan_of(text)->profiles[0]), ElementsAre("queue-scorer 1")) << text;
  }
}

TEST(Loading, GatesAreSwitchedByNameAndValue) {
  struct Row {
    const char* gates;
    bool flow_control;
    bool follower_datastore;
  };
  for (const Row& row :
       {Row{"[]", false, true}, Row{"[flowControl]", true, true}, Row{"[flowControl=true]", true, true},
        Row{"['flowControl=1']", true, true}, Row{"['flowControl= T ']", true, true},
        Row{"[flowControl=False]", false, true}, Row{"[flowControl, flowControl=0]", false, true},
        Row{"[haPopulateNonLeaderDatastore=false]", false, false},
        Row{"[haPopulateNonLeaderDatastore]", false, true}}) {
    const auto plan = plan_of(fmt::format("featureGates: {}\nplugins: []\n", row.gates));
    EXPECT_EQ(plan->configuration.flow_control, row.flow_control) << row.gates;
    EXPECT_EQ(plan->configuration.follower_datastore, row.follower_datastore) << row.gates;
    EXPECT_THAT(plan->configuration.warnings, IsEmpty()) << row.gates;
  }
}

TEST(Loading, GatesOfThePastWarn) {
  for (const char* gate : {"dataLayer", "enableLegacyMetrics", "prepareDataPlugins"}) {
    const auto plan = plan_of(fmt::format("featureGates: [{}]\nplugins: []\n", gate));
    EXPECT_THAT(plan->configuration.warnings,
                ElementsAre(HasSubstr(fmt::format("x.yaml:1:1: feature gate '{}' has no effect", gate))));
  }
}

TEST(Loading, WithoutProfilesOneHasEveryFilterScorerAndPickerAsListed) {
  const auto plan = plan_of(R"(plugins:
- type: prefill-filter
- type: kv-cache-utilization-scorer
- type: random-picker
- {name: later, type: decode-filter}
- type: queue-scorer
- type: approx-prefix-cache-producer
)");
  const Profile& profile = plan->profiles.at(0);
  EXPECT_EQ(profile.name, "default");
  EXPECT_THAT(names(profile.filters), ElementsAre("prefill-filter", "later"));
  EXPECT_THAT(scorers(profile), ElementsAre("kv-cache-utilization-scorer 1", "queue-scorer 1"));
  EXPECT_EQ(profile.picker->type, "random-picker");
}

TEST(Loading, AProfileKeepsItsOwnOrderAndWeights) {
  const auto plan = plan_of(R"(plugins:
- type: queue-scorer
- type: decode-filter
- type: prefix-cache-scorer
- type: label-selector-filter
  parameters: {matchLabels: {a: b}}
- type: random-picker
- type: weighted-random-picker
schedulingProfiles:
- name: own
  plugins:
  - pluginRef: weighted-random-picker
  - {pluginRef: prefix-cache-scorer, weight: 2}
  - pluginRef: label-selector-filter
  - {pluginRef: queue-scorer, weight: -0.5}
  - {pluginRef: decode-filter, weight: 7}
)");
  const Profile& profile = plan->profiles.at(0);
  EXPECT_THAT(names(profile.filters), ElementsAre("label-selector-filter", "decode-filter"));
  EXPECT_THAT(scorers(profile), ElementsAre("prefix-cache-scorer 2", "queue-scorer -0.5"));
  EXPECT_EQ(profile.picker->type, "weighted-random-picker") << "the picker may stand before the scorers";
}

TEST(Loading, AProfileWithoutPickerGetsTheFirstThatIsListed) {
  const auto plan = plan_of(R"(plugins:
- type: queue-scorer
- type: weighted-random-picker
- type: random-picker
schedulingProfiles: [{name: default, plugins: [{pluginRef: queue-scorer}]}]
)");
  EXPECT_EQ(plan->profiles[0].picker->type, "weighted-random-picker");
}

TEST(Loading, PluginsThatScheduleNothingMayStandInAProfile) {
  const auto plan = plan_of(R"(plugins:
- type: predicted-latency-producer
- type: openai-parser
- type: queue-scorer
schedulingProfiles:
- name: default
  plugins: [{pluginRef: predicted-latency-producer}, {pluginRef: openai-parser}, {pluginRef: queue-scorer}]
)");
  EXPECT_THAT(scorers(plan->profiles[0]), ElementsAre("queue-scorer 1"));
  EXPECT_THAT(names(plan->producers), Contains("predicted-latency-producer"));
}

TEST(Loading, WhatNobodyRefersToStillTakesPart) {
  const auto plan = plan_of(
      "plugins: [{type: no-hit-lru-scorer}, {type: queue-scorer}]\n"
      "schedulingProfiles: [{name: default, plugins: [{pluginRef: queue-scorer}]}]\n");
  EXPECT_THAT(scorers(plan->profiles[0]), ElementsAre("queue-scorer 1"));
  EXPECT_THAT(names(plan->hooks), Contains("no-hit-lru-scorer"));
}

TEST(Loading, ADependencyMayBeListedAfterItsUser) {
  const auto plan = plan_of(R"(plugins:
- type: disagg-profile-handler
  parameters: {deciders: {prefill: late, encode: later}}
- {name: late, type: always-disagg-pd-decider}
- {name: later, type: always-disagg-multimodal-decider}
schedulingProfiles: [{name: prefill}, {name: decode}, {name: encode}]
)");
  EXPECT_THAT(names(plan->plugins), IsSupersetOf({"disagg-profile-handler", "late", "later"}));
  EXPECT_EQ(plan->plugins[0]->name, "disagg-profile-handler") << "the order stays the document's";
}

TEST(Loading, ProducersAreMadeForWhatIsNeededAndForWhatThoseNeed) {
  struct Row {
    const char* plugin;
    std::vector<std::string> made;
  };
  const Row rows[] = {
      {"{type: prefix-cache-scorer}", {"approx-prefix-cache-producer"}},
      {"{type: latency-scorer}", {"predicted-latency-producer"}},
      {"{type: mm-embeddings-cache-scorer}", {"mm-embeddings-cache-producer"}},
      {"{type: no-hit-lru-scorer}", {"approx-prefix-cache-producer"}},
      {"{type: prefix-cache-affinity-filter}", {"approx-prefix-cache-producer"}},
      {"{type: prefix-cache-affinity-filter, parameters: {ttftSource: latencyPredictor}}",
       {"approx-prefix-cache-producer", "predicted-latency-producer"}},
  };
  for (const Row& row : rows) {
    const auto plan = plan_of(fmt::format("plugins: [{}]\n", row.plugin));
    EXPECT_THAT(names(plan->producers), IsSupersetOf(row.made)) << row.plugin;
  }
}

TEST(Loading, MetricsAreReadUnlessADocumentSaysOtherwise) {
  struct Row {
    const char* document;
    std::vector<std::string> polled;
  };
  const std::string usual = "metrics-data-source > core-metrics-extractor";
  const Row rows[] = {
      {"plugins: [{type: queue-scorer}]", {usual}},
      {"plugins: [{type: queue-scorer}]\ndataLayer: {}", {usual}},
      {"plugins: [{type: queue-scorer}]\ndataLayer: {sources: []}", {usual}},
      {"plugins: [{type: queue-scorer}]\ndataLayer: {sources: [{pluginRef: metrics-data-source, extractors: "
       "[{pluginRef: core-metrics-extractor}]}]}",
       {usual}},
      {"plugins: [{type: models-data-source}, {type: models-data-extractor}]\ndataLayer: {sources: "
       "[{pluginRef: "
       "models-data-source, extractors: [{pluginRef: models-data-extractor}]}]}",
       {"models-data-source", usual}},
      {"plugins: [{name: mine, type: metrics-data-source}, {type: core-metrics-extractor}]\ndataLayer: "
       "{sources: "
       "[{pluginRef: mine, extractors: [{pluginRef: core-metrics-extractor}]}]}",
       {"mine > core-metrics-extractor"}},
      {"plugins: []\ndataLayer: {injectDefaults: false}", {}},
      {"plugins: [{type: models-data-source}]\ndataLayer: {injectDefaults: false, sources: [{pluginRef: "
       "models-data-source}]}",
       {"models-data-source"}},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(polls(*plan_of(std::string(row.document) + "\n")), row.polled) << row.document;
  }
}

TEST(Loading, ParsersAreThoseOfTheListWithoutAFallback) {
  struct Row {
    const char* document;
    std::vector<std::string> parsers;
  };
  const Row rows[] = {
      {"plugins: []\nrequestHandler: {parsers: [{pluginRef: sglanghttp-parser}]}", {"sglanghttp-parser"}},
      {"plugins: [{name: mine, type: openai-parser}]\nrequestHandler: {parsers: [{pluginRef: mine}, "
       "{pluginRef: "
       "vllmgrpc-parser}]}",
       {"mine", "vllmgrpc-parser"}},
      {"plugins: []\nparser: {pluginRef: passthrough-parser}", {"passthrough-parser"}},
      {"plugins: []\nparser: {pluginRef: passthrough-parser}\nrequestHandler: {parsers: [{pluginRef: "
       "openai-parser}]}",
       {"openai-parser"}},
      {"plugins: [{type: vertexai-parser}]",
       {"openai-parser", "anthropic-parser", "vllmhttp-parser", "passthrough-parser"}},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(names(plan_of(std::string(row.document) + "\n")->parsers), row.parsers) << row.document;
  }
}

TEST(Loading, TheDetectorIsTheOneOfTheNewerPlace) {
  const std::string plugins =
      "plugins: [{name: a, type: utilization-detector}, {name: b, type: concurrency-detector}]\n";
  EXPECT_EQ(plan_of(plugins)->detector->type, "utilization-detector");
  EXPECT_EQ(plan_of(plugins + "saturationDetector: {pluginRef: b}\n")->detector->name, "b");
  EXPECT_EQ(plan_of(plugins + "flowControl: {saturationDetector: {pluginRef: b}}\n")->detector->name, "b")
      << "read without the gate, too";
  EXPECT_EQ(plan_of(plugins + "saturationDetector: {pluginRef: a}\n"
                              "flowControl: {saturationDetector: {pluginRef: b}}\n")
                ->detector->name,
            "b");
}

TEST(Loading, ExperimentalPluginsNeedTheirFlag) {
  const std::string_view text = "plugins: [{type: agent-identity}]\n";
  EXPECT_TRUE(Picker::from_config(text, "x.yaml", {.load = {.allow_experimental = true}}));
  const auto refused = Picker::from_config(text, "x.yaml");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().text(),
              HasSubstr("x.yaml:1:11: plugins[0]: plugin 'agent-identity' (type: 'agent-identity') has Alpha "
                        "stability level, but command line flag --allow-experimental-plugins is not set"));
  const auto made = Picker::from_config(
      "plugins: [{type: multicluster-prefix-cache-scorer, parameters: {prefixMatchInfoProducerName: "
      "multicluster-approx-prefix-cache-producer}}]\n",
      "x.yaml");
  EXPECT_FALSE(made);
}

}  // namespace
}  // namespace llmd::picker
