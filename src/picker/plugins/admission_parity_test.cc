// Who is let in, as llm-d's own tests state the rules: a table per plugin, seen through decisions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "metrics/registry.h"
#include "metrics/text_reader.h"
#include "picker/plan.h"
#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

TEST(ProbabilisticAdmitter, OnlySheddableRequestsAreDrawnAndTheCurveIsSteep) {
  struct Row {
    float waiting;
    double admitted;  // of all: 1 - min(300·(waiting/50)⁵, 1)
  };
  for (const Row& row :
       {Row{0, 1}, Row{10, 1 - 300 * 0.00032}, Row{14, 1 - 300 * 0.00172104}, Row{20, 0}, Row{60, 0}}) {
    Pool pool(
        "plugins:\n- {type: probabilistic-admitter, parameters: {queueDepthThreshold: 50}}\n"
        "- {type: utilization-detector, parameters: {queueDepthThreshold: 999999999, kvCacheUtilThreshold: "
        "1.0, "
        "metricsStalenessThreshold: 1h}}\n"
        "flowControl: {saturationDetector: {pluginRef: utilization-detector}}\n",
        1);
    pool.report(0, {.waiting = row.waiting, .kv_usage = 0});
    int admitted = 0;
    for (int i = 0; i < 2000; ++i) {
      admitted += pool.picker->pick({.priority = -1}).has_value() ? 1 : 0;
    }
    EXPECT_NEAR(admitted / 2000.0, row.admitted, 0.05) << row.waiting;
    EXPECT_TRUE(pool.picker->pick({.priority = 0}));
  }
}

Endpoint pod(std::string name, std::string revision, std::string role,
             std::map<std::string, std::string> more = {}) {
  more.try_emplace("app", "x");
  more["disaggregatedset.x-k8s.io/revision"] = std::move(revision);
  more["disaggregatedset.x-k8s.io/role"] = std::move(role);
  return labelled(std::move(name), std::move(more));
}

std::vector<Endpoint> pods(std::string revision, int prefill, int decode) {
  std::vector<Endpoint> all;
  for (int i = 0; i < prefill + decode; ++i) {
    all.push_back(pod(fmt::format("{}-{}", revision, i), revision, i < prefill ? "prefill" : "decode"));
  }
  return all;
}

std::string rollout(std::string_view mode, std::string_view scope = "app=x") {
  return only("disaggregatedset-rollout-screener", fmt::format(R"({{scope: {{labelSelector: "{}"}},
    headerSelectors: [{{name: team, headerName: X-Team, labelKey: team, mode: strict}},
                      {{name: zone, headerName: X-Zone, labelKey: zone, mode: prefer}}],
    revisionGating: {{mode: {}, requireRoles: {{values: [prefill, decode]}}}}}})",
                                                               scope, mode));
}

TEST(RolloutScreener, ARevisionNeedsAllItsRoles) {
  Pool pool(rollout("sum"), 0);
  pool.set({pod("old-p", "1", "prefill"), pod("old-d", "1", "decode"), pod("new-p", "2", "prefill")});
  EXPECT_EQ(left(pool), "old-p old-d") << "revision 2 has no decode yet";
  pool.set({pod("new-p", "2", "prefill"), labelled("stranger", {{"app", "y"}})});
  EXPECT_EQ(pool.pick(), "503") << "it fails closed";
  pool.set({pod("p", "1", "prefill"), pod("d", "1", "decode", {{"app", "y"}})});
  EXPECT_EQ(pool.pick(), "503") << "what is out of scope covers nothing";
}

TEST(RolloutScreener, RevisionsShareRequestsByTheirPods) {
  struct Row {
    const char* mode;
    double old_share;
  };
  for (const Row& row : {Row{"sum", 11.0 / 13}, Row{"max-role", 9.0 / 10}}) {
    Pool pool(rollout(row.mode), 0);
    auto all = pods("old", 2, 9);
    std::ranges::move(pods("new", 1, 1), std::back_inserter(all));
    pool.set(std::move(all));
    int old = 0;
    for (int i = 0; i < 4000; ++i) {
      old += pool.pick().starts_with("old") ? 1 : 0;
    }
    EXPECT_NEAR(old / 4000.0, row.old_share, 0.03) << row.mode;
  }
}

TEST(RolloutScreener, HeadersNarrowStrictlyOrNotAtAllAndAnswersSayWhoServed) {
  Pool pool(rollout("disabled"), 0);
  pool.set({pod("p", "1", "prefill", {{"team", "red"}, {"zone", "a"}}),
            pod("d", "1", "decode", {{"team", "red"}, {"zone", "a"}}),
            labelled("other", {{"team", "green"}})});
  EXPECT_EQ(left(pool), "p d other") << "without gating revisions do not matter";
  const Headers red{{{"x-team", "red"}, {"x-zone", "nowhere"}}};
  EXPECT_EQ(left(pool, {.headers = red}), "p d") << "preferences are for a scorer";
  const Headers blue{{{"x-team", "blue"}}};
  EXPECT_EQ(pool.pick({.headers = blue}), "503");
  auto decision = pool.picker->pick({.headers = red}).value();
  HeaderEdits edits;
  decision.response_headers(200, {}, edits);
  EXPECT_EQ(edits.find("x-team"), "red");
  EXPECT_EQ(edits.find("x-zone"), "a");
}

TEST(RolloutScreener, MistakesAreNamed) {
  struct Row {
    const char* parameters;
    const char* said;
  };
  for (
      const Row& row : {
          Row{"{revisionGating: {mode: disabled}}", "labelSelector: is required"},
          Row{"{scope: {labelSelector: 'a in ('}, revisionGating: {mode: disabled}}", "labelSelector"},
          Row{"{scope: {labelSelector: app=x}}", "mode: is required"},
          Row{"{scope: {labelSelector: app=x}, revisionGating: {mode: all}}", "max-role"},
          Row{"{scope: {labelSelector: app=x}, revisionGating: {mode: sum}}", "requireRoles"},
          Row{"{scope: {labelSelector: app=x}, revisionGating: {mode: disabled}, headerSelectors: [{name: a, "
              "headerName: x-a}]}",
              "labelKey are required"},
          Row{"{scope: {labelSelector: app=x}, revisionGating: {mode: disabled}, headerSelectors: [{name: a, "
              "headerName: x-a, labelKey: a}, {name: a, headerName: x-b, labelKey: b}]}",
              "must be unique"},
          Row{"{scope: {labelSelector: app=x}, revisionGating: {mode: disabled}, headerSelectors: [{name: a, "
              "headerName: x-a, labelKey: a}, {name: b, headerName: X-A, labelKey: b}]}",
              "must be unique"},
          Row{"{scope: {labelSelector: app=x}, revisionGating: {mode: disabled}, headerSelectors: [{name: a, "
              "headerName: x-a, labelKey: a, mode: loose}]}",
              "prefer"},
      }) {
    const auto made = Picker::from_config(only("disaggregatedset-rollout-screener", row.parameters),
                                          "wrong.yaml", {.load = {.allow_experimental = true}});
    ASSERT_FALSE(made) << row.parameters;
    EXPECT_THAT(made.error().text(), testing::HasSubstr(row.said)) << row.parameters;
  }
}

TEST(Screeners, EachSeesAllCandidatesAndWhoPassesAllStays) {
  const auto by_header = [](std::string_view name, std::string_view header, std::string_view label) {
    return fmt::format(
        "- {{type: disaggregatedset-rollout-screener, name: {}, parameters: {{scope: {{labelSelector: "
        "app=x}}, "
        "headerSelectors: [{{name: s, headerName: {}, labelKey: {}}}], revisionGating: {{mode: "
        "disabled}}}}}}\n",
        name, header, label);
  };
  metrics::Registry registry;
  auto made = Picker::from_config(
      "plugins:\n" + by_header("teams", "x-team", "team") + by_header("zones", "x-zone", "zone"), "test.yaml",
      {.load = {.allow_experimental = true}, .metrics = &registry});
  ASSERT_TRUE(made) << made.error().text();
  Picker& picker = **made;
  picker.update({labelled("a1", {{"team", "a"}, {"zone", "1"}}),
                 labelled("a2", {{"team", "a"}, {"zone", "2"}}),
                 labelled("b1", {{"team", "b"}, {"zone", "1"}})});
  const Headers both{{{"x-team", "a"}, {"x-zone", "2"}}};
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(picker.pick({.headers = both}).value().endpoint().name, "a2");
  }
  // Either header names somebody: neither screener has failed, only nobody passes both.
  const Headers nobody{{{"x-team", "b"}, {"x-zone", "2"}}};
  EXPECT_EQ(picker.pick({.headers = nobody}).error().status, 503);
  for (const std::string_view name : {"teams", "zones"}) {
    EXPECT_EQ(metrics::parse_exposition(registry.write_text())
                  ->value("llm_d_epp_disaggregatedset_strict_header_no_match_total", {{"plugin_name", name}}),
              0);
  }
}

TEST(RolloutScreener, WhatItCountsAndSharesIsOnThePage) {
  metrics::Registry registry;
  const auto picker =
      Picker::from_config(rollout("max-role"), "test.yaml",
                          {.load = {.allow_experimental = true, .seed = 7}, .metrics = &registry})
          .value();
  auto all = pods("old", 1, 3);
  std::ranges::move(pods("new", 1, 1), std::back_inserter(all));
  std::ranges::move(pods("half", 4, 0), std::back_inserter(all));
  picker->update(all);
  const Headers blue{{{"x-team", "blue"}}};
  EXPECT_FALSE(picker->pick({.headers = blue}));
  const auto share = [&registry](std::string_view revision) {
    return metrics::parse_exposition(registry.write_text())
        ->value("llm_d_epp_disaggregatedset_revision_gating_share",
                {{"plugin_name", "disaggregatedset-rollout-screener"},
                 {"mode", "max-role"},
                 {"revision", revision}});
  };
  EXPECT_EQ(share("old"), 0.75);
  EXPECT_EQ(share("new"), 0.25);
  EXPECT_EQ(share("half"), 0);
  EXPECT_EQ(metrics::parse_exposition(registry.write_text())
                ->value("llm_d_epp_disaggregatedset_strict_header_no_match_total",
                        {{"plugin_type", "disaggregatedset-rollout-screener"}, {"selector", "team"}}),
            1);
  picker->update(pods("new", 1, 1));
  EXPECT_EQ(share("new"), 1);
  EXPECT_EQ(share("old"), std::nullopt) << "it is gone";
}

std::shared_ptr<const Plan> limited_by(std::string_view plugin) {
  const std::string text = "featureGates: [flowControl]\nplugins: [{name: limit, " + std::string(plugin) +
                           "}]\nflowControl: {usageLimitPolicyPluginRef: limit}\n";
  const LoadOptions load{.allow_experimental = true};
  return build_plan(parse_configuration(text, "limits", load).value(), {.load = load}).value();
}

// What a usage limit lets each of the priorities have.
std::vector<double> ceilings(std::string_view plugin, double saturation,
                             std::vector<int> priorities = {10, 0, -10}) {
  std::vector<double> found(priorities.size());
  limited_by(plugin)->usage_limit->ceilings(priorities, saturation, found);
  return found;
}

TEST(UsageLimits, OneBandGetsTheMostAndTwoGetBothEnds) {
  constexpr std::string_view kLimit =
      "type: priority-holdback-policy, parameters: {minCeiling: 0.4, maxCeiling: 0.8}";
  EXPECT_THAT(ceilings(kLimit, 0.5, {0}), are({0.8}));
  EXPECT_THAT(ceilings(kLimit, 0.5, {100, -1}), are({0.8, 0.4}));
  EXPECT_THAT(ceilings(kLimit, 0.5, {4, 3, 2, 1, 0}), are({0.8, 0.7, 0.6, 0.5, 0.4}));
}

TEST(UsageLimits, TheSoftCeilingOpensNowAndThenAndNeverStarvesTheTop) {
  const auto plan = limited_by("type: soft-reflective-ceiling-policy");
  const int priorities[] = {10, 0, -10};
  std::vector<double> sums(3);
  std::vector<double> found(3);
  for (int call = 0; call < 30; ++call) {
    plan->usage_limit->ceilings(priorities, 0.75, found);
    for (std::size_t i = 0; i < 3; ++i) {
      sums[i] += found[i];
    }
  }
  EXPECT_THAT(sums, are({30, 10, 10})) << "one call of 0.75 / 0.25";
}

TEST(UsageLimits, CeilingsByRankAndByValue) {
  EXPECT_THAT(ceilings("type: static-usage-limit-policy, parameters: {threshold: 0.9}", 0.5),
              are({0.9, 0.9, 0.9}));
  EXPECT_THAT(ceilings("type: priority-holdback-policy, parameters: {minCeiling: 0.2}", 0.5),
              are({1, 0.6, 0.2}));
  EXPECT_THAT(
      ceilings(
          "type: priority-holdback-policy, parameters: {domain: value, minCeiling: 0.5, maxCeiling: 0.9}",
          0.5),
      are({0.9, 0.7, 0.5}));
  EXPECT_THAT(ceilings("type: soft-reflective-ceiling-policy", 0.4), are({1, 1, 1}));
  EXPECT_THAT(ceilings("type: soft-reflective-ceiling-policy", 1.2), are({1, 0, 0}));
}

TEST(Detectors, ConcurrencyCountsRequestsTokensOrTheWorseOfBoth) {
  struct Row {
    const char* parameters;
    bool sheds;
  };
  // One endpoint with two requests of 500 prompt tokens each.
  for (const Row& row :
       {Row{"{maxConcurrency: 2}", true}, Row{"{maxConcurrency: 3}", false},
        Row{"{concurrencyMode: tokens, maxTokenConcurrency: 1000}", true},
        Row{"{concurrencyMode: tokens, maxTokenConcurrency: 1001}", false},
        Row{"{concurrencyMode: hybrid, maxConcurrency: 100, maxTokenConcurrency: 1000}", true},
        Row{"{concurrencyMode: hybrid, maxConcurrency: 2, maxTokenConcurrency: 9999}", true},
        Row{"{concurrencyMode: hybrid, maxConcurrency: 3, maxTokenConcurrency: 1001}", false}}) {
    Pool pool("plugins: [{type: concurrency-detector, parameters: " + std::string(row.parameters) +
                  "}]\nflowControl: {saturationDetector: {pluginRef: concurrency-detector}}\n",
              1);
    const auto endpoint = pool.picker->endpoints()->endpoints[0];
    const Lease one(endpoint, 500);
    const Lease two(endpoint, 500);
    EXPECT_EQ(pool.picker->pick({.priority = -1}).has_value(), !row.sheds) << row.parameters;
  }
}

TEST(Detectors, UtilizationIsTheWorseOfQueueAndCacheAndStaleNumbersCountAsFull) {
  struct Row {
    float waiting;
    float kv;
    bool sheds;
  };
  for (const Row& row : {Row{0, 0, false}, Row{4, 0.79F, false}, Row{5, 0, true}, Row{0, 0.81F, true}}) {
    Pool pool(only("utilization-detector", "{metricsStalenessThreshold: 1h}"), 1);
    pool.report(0, {.waiting = row.waiting, .kv_usage = row.kv});
    EXPECT_EQ(pool.picker->pick({.priority = -1}).has_value(), !row.sheds) << row.waiting << " " << row.kv;
  }
  Pool silent(only("utilization-detector"), 1);
  EXPECT_FALSE(silent.picker->pick({.priority = -1}));
}

}  // namespace
}  // namespace llmd::picker
