// Filters and scorers over what endpoints are and have, at the edges, as llm-d's own tests state the rules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

Result<std::unique_ptr<Picker>> loaded(std::string_view config) {
  return Picker::from_config(config, "affinity", {.load = {.allow_experimental = true}});
}

// The first `blocks` of eight.
Prompt beginning_of(const Prompt& prompt, std::size_t blocks) {
  Prompt part = prompt;
  part.units.resize(blocks * 4);
  return part;
}

TEST(PrefixCacheAffinityFilter, SticksToWhoHasEnough) {
  struct Row {
    const char* parameters;
    std::size_t first;  // blocks of eight that e0 and e1 have
    std::size_t second;
    const char* left;
  };
  for (const Row& row :
       {Row{"{}", 8, 0, "e0"}, Row{"{}", 7, 0, "e0"}, Row{"{}", 6, 0, "e0 e1 e2"}, Row{"{}", 8, 7, "e0 e1"},
        Row{"{affinityThreshold: 0.75}", 6, 5, "e0"}, Row{"{affinityThreshold: 1}", 8, 7, "e0"},
        Row{"{affinityThreshold: -1}", 8, 0, "e0 e1 e2"}}) {
    Pool pool(only("prefix-cache-affinity-filter", row.parameters), 3);
    const Prompt prompt(8);
    warm(pool, beginning_of(prompt, row.first), 0);
    if (row.second > 0) {
      warm(pool, beginning_of(prompt, row.second), 1);
    }
    EXPECT_EQ(left(pool, prompt.request()), row.left) << row.parameters << row.first << row.second;
  }
}

TEST(PrefixCacheAffinityFilter, TheBestOfEachSideAreCompared) {
  struct Row {
    std::array<std::int64_t, 3> load;
    const char* left;
  };
  // e0 and e1 have the prompt; 15928 tokens take a second, and 18 of them are too many.
  for (const Row& row : {Row{{300'000, 0, 0}, "e0 e1"}, Row{{300'000, 300'000, 0}, "e0 e1 e2"},
                         Row{{300'000, 300'000, 300'000}, "e0 e1"}, Row{{0, 0, 300'000}, "e0 e1"}}) {
    Pool pool(only("prefix-cache-affinity-filter"), 3);
    const Prompt prompt(8);
    warm(pool, prompt, 0);
    warm(pool, prompt, 1);
    std::vector<Lease> leases;
    for (std::size_t i = 0; i < 3; ++i) {
      leases.emplace_back(pool.picker->endpoints()->endpoints[i], row.load[i]);
    }
    EXPECT_EQ(left(pool, prompt.request()), row.left);
  }
}

TEST(PrefixCacheAffinityFilter, WithoutPredictionsTheCacheDecides) {
  Pool pool(only("prefix-cache-affinity-filter", "{ttftSource: latencyPredictor}"), 3);
  const Prompt prompt(8);
  warm(pool, prompt, 1);
  EXPECT_EQ(left(pool, prompt.request()), "e1");
}

TEST(PrefixCacheAffinityFilter, ParametersHaveBounds) {
  for (const char* wrong :
       {"{affinityThreshold: 1.1}", "{explorationProbability: 1.1}", "{explorationProbability: -0.1}",
        "{maxTTFTPenaltyMs: -1}", "{peakPrefillThroughput: 0}", "{ttftSource: chance}"}) {
    EXPECT_FALSE(loaded(only("prefix-cache-affinity-filter", wrong))) << wrong;
  }
}

std::string attribute_filter(std::string_view more) {
  return "plugins:\n- type: core-metrics-extractor\n  parameters: {engineConfigs: [{name: vllm, "
         "customMetrics: [{attributeKey: Temperature, metricSpec: 'temperature'}]}]}\n"
         "- {type: endpoint-attribute-filter, parameters: {attribute: Temperature, algorithm: {type: "
         "threshold, threshold: {operator: LessThan, value: 50}}" +
         std::string(more) + "}}\n";
}

TEST(EndpointAttributeFilter, WhatIsMissingPassesOrFailsAsConfigured) {
  struct Row {
    const char* more;
    const char* left;
  };
  for (const Row& row :
       {Row{"", "cool unknown"}, Row{", onMissing: Pass", "cool unknown"}, Row{", onMissing: Fail", "cool"},
        Row{", producer: core-metrics-extractor", "cool unknown"}}) {
    Pool pool(attribute_filter(row.more), 0);
    pool.set({labelled("hot", {}), labelled("cool", {}), labelled("unknown", {})});
    EngineReport report;
    report.custom[0] = 90;
    pool.report(0, report);
    report.custom[0] = 10;
    pool.report(1, report);
    EXPECT_EQ(left(pool), row.left) << row.more;
  }
}

TEST(EndpointAttributeFilter, NobodyLeftIs429UnlessAllAreTakenBack) {
  for (const bool falls_back : {false, true}) {
    Pool pool(attribute_filter(falls_back ? ", fallbackOnEmpty: true" : ""), 2);
    EngineReport hot;
    hot.custom[0] = 90;
    pool.report(0, hot);
    pool.report(1, hot);
    EXPECT_EQ(left(pool), falls_back ? "e0 e1" : "nobody");
  }
}

TEST(EndpointAttributes, NeedANameAndAProducerWhereTheNameHasASlash) {
  for (const char* wrong : {"{}", "{attribute: a/b, algorithm: {threshold: {operator: Equal, value: 1}}}",
                            "{attribute: a, onMissing: Shrug}", "{attribute: a, algorithm: {type: chance}}",
                            "{attribute: a, algorithm: {threshold: {operator: Like}}}"}) {
    EXPECT_FALSE(loaded(only("endpoint-attribute-filter", wrong))) << wrong;
  }
  for (const char* wrong :
       {"{}", "{attributeKey: a/b}",
        "{attributeKey: a, algorithm: {normalization: {fixedRange: {min: 2, max: 2}}}}"}) {
    EXPECT_FALSE(loaded(only("endpoint-attribute-scorer", wrong))) << wrong;
  }
}

TEST(EndpointAttributeScorer, EqualsScoreOneAndWhatIsMissingNothing) {
  Pool pool(
      "plugins:\n- type: core-metrics-extractor\n  parameters: {engineConfigs: [{name: vllm, customMetrics: "
      "[{attributeKey: Temperature, metricSpec: 'temperature'}]}]}\n"
      "- {type: endpoint-attribute-scorer, parameters: {attributeKey: Temperature}}\n",
      3);
  EngineReport report;
  report.custom[0] = 10;
  pool.report(0, report);
  pool.report(1, report);
  EXPECT_THAT(pool.scores("endpoint-attribute-scorer"), are({1, 1, 0}));
}

TEST(UtilizationFilter, ParametersHaveBounds) {
  for (const char* wrong : {"{}", "{conditions: []}", "{conditions: [{metric: mood, maxValue: 1}]}",
                            "{conditions: [{metric: waiting-queue, maxValue: -1}]}",
                            "{conditions: [{metric: kv-cache-utilization, maxValue: 1.1}]}"}) {
    EXPECT_FALSE(loaded(only("utilization-filter", wrong))) << wrong;
  }
}

TEST(ContextLengthFilter, KeepsWhoFitsAndWhoSaysNothing) {
  struct Row {
    std::int64_t tokens;
    const char* left;
  };
  for (const Row& row : {Row{0, "small any"}, Row{500, "small any"}, Row{501, "large any"},
                         Row{2000, "large any"}, Row{2001, "any"}}) {
    Pool pool(only("context-length-aware", "{enableFiltering: true}"), 0);
    const auto of_range = [](std::string name, std::string range) {
      return labelled(std::move(name), {{"llm-d.ai/context-length-range", std::move(range)}});
    };
    pool.set({of_range("small", " 0 - 500 "), of_range("large", "501-2000"), of_range("bad", "9-1"),
              labelled("any", {})});
    EXPECT_EQ(left(pool, {.estimated_tokens = row.tokens}), row.left) << row.tokens;
  }
}

TEST(NoHitLru, WhoWasNeverUsedComesFirstAndWarmRequestsDoNotCount) {
  Pool pool(only("no-hit-lru-scorer"), 3);
  EXPECT_THAT(pool.scores("no-hit-lru-scorer"), are({1, 0.5, 0}));
  EXPECT_THAT(pool.scores("no-hit-lru-scorer"), are({0, 1, 0.5})) << "e0 has been used";
  EXPECT_THAT(pool.scores("no-hit-lru-scorer"), are({0.5, 0, 1})) << "e0 longer ago than e1";
  const Prompt prompt(4);
  warm(pool, prompt, 1);
  EXPECT_THAT(pool.scores("no-hit-lru-scorer", prompt.request()), are({0.5, 0.5, 0.5}));
}

TEST(LabelFilters, ValuesAreListedOrMayBeAbsent) {
  struct Row {
    const char* parameters;
    const char* left;
  };
  for (const Row& row : {Row{"{label: tier, validValues: [gold]}", "gold"},
                         Row{"{label: tier, validValues: [gold, tin]}", "gold tin"},
                         Row{"{label: tier, validValues: [gold], allowsNoLabel: true}", "gold none"},
                         Row{"{label: tier, allowsNoLabel: true}", "none"}}) {
    Pool pool(only("by-label", row.parameters), 0);
    pool.set(
        {labelled("gold", {{"tier", "gold"}}), labelled("tin", {{"tier", "tin"}}), labelled("none", {})});
    EXPECT_EQ(left(pool), row.left) << row.parameters;
  }
  for (const char* wrong : {"{}", "{label: tier}", "{validValues: [a]}"}) {
    EXPECT_FALSE(loaded(only("by-label", wrong))) << wrong;
  }
}

}  // namespace
}  // namespace llmd::picker
