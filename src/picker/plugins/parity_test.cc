// Rules of plugins as llm-d's own tests state them: one table per plugin, seen through decisions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "picker/plan.h"
#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

Endpoint labelled(std::string name, std::map<std::string, std::string> labels) {
  return {.address = {name, 8000}, .name = name, .labels = std::move(labels)};
}

// Names of the endpoints that the filters of the first profile left, in order.
std::string left(Pool& pool, const Request& request = {}) {
  if (!pool.picker->pick(request)) {
    return "nobody";
  }
  const json::Value last = pool.picker->explain_last(1);
  std::string names;
  for (const json::Value& endpoint : *json::array_at(last, "[0].profiles[0].endpoints")) {
    const std::string_view full = *json::string_at(endpoint, "name");
    names += (names.empty() ? "" : " ") + std::string(full.substr(full.find('/') + 1));
  }
  return names;
}

struct Prompt {
  explicit Prompt(std::size_t blocks, std::uint64_t seed = 1) : units(blocks * 4) {
    std::iota(units.begin(), units.end(), seed * 100'000);
  }
  Request request() const {
    return {.id = "r", .model = "m", .prompt_bytes = units.size() * 64, .prompt_units = units};
  }
  std::vector<std::uint64_t> units;
};

// Tells the prefix index that `endpoint` has seen the prompt.
void warm(Pool& pool, const Prompt& prompt, std::size_t endpoint) {
  const auto all = pool.picker->endpoints()->endpoints;
  std::vector<EndpointPtr> others;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i != endpoint) {
      others.push_back(all[i]);
    }
  }
  ASSERT_TRUE(pool.picker->pick(prompt.request(), others));
}

TEST(RunningRequestsScorer, FewerScoreHigher) {
  Pool pool(only("running-requests-size-scorer"), 3);
  EXPECT_THAT(pool.scores("running-requests-size-scorer"), are({1, 1, 1}));
  pool.report(0, {.running = 8});
  pool.report(1, {.running = 2});
  pool.report(2, {.running = 0});
  EXPECT_THAT(pool.scores("running-requests-size-scorer"), are({0, 0.75, 1}));
}

TEST(TokenLoadScorer, TokensInFlightAndOfThisRequestCountAgainstTheThreshold) {
  Pool pool(
      "plugins: [{type: inflight-load-producer}, {type: token-load-scorer, "
      "parameters: {queueThresholdTokens: 1000}}]\n",
      3);
  const auto all = pool.picker->endpoints()->endpoints;
  const Lease some(all[1], 400);
  const Lease many(all[2], 5000);
  EXPECT_THAT(pool.scores("token-load-scorer", {.estimated_tokens = 100}), are({0.9, 0.5, 0}));
}

TEST(ActiveRequestScorer, UpToTheIdleThresholdAllAreAlike) {
  Pool pool(only("active-request-scorer", "{idleThreshold: 1}"), 3);
  const auto all = pool.picker->endpoints()->endpoints;
  const Lease one(all[1]);
  const Lease two(all[2]);
  const Lease three(all[2]);
  EXPECT_THAT(pool.scores("active-request-scorer"), are({1, 1, 0}));
}

TEST(PrefixCacheScorer, TheLengthOfAMatchMayCountBesideItsShare) {
  Pool pool(only("prefix-cache-scorer", "{matchLengthWeight: 0.5, matchLengthScaleTokens: 1024}"), 2);
  const Prompt prompt(8);  // of 64 tokens each
  warm(pool, prompt, 1);
  // 512 tokens of 1024: half of the length squared, all of the share.
  EXPECT_THAT(pool.scores("prefix-cache-scorer", prompt.request()), are({0, 0.5 * 0.25 + 0.5}));
}

TEST(UtilizationFilter, EveryConditionMustHold) {
  struct Row {
    const char* parameters;
    const char* left;
  };
  for (const Row& row :
       {Row{"{conditions: [{metric: waiting-queue, maxValue: 5}]}", "e0 e1"},
        Row{"{conditions: [{metric: waiting-queue, maxValue: 5}, {metric: kv-cache-utilization, maxValue: "
            "0.5}]}",
            "e0"},
        Row{"{conditions: [{metric: running-requests, maxValue: 0}]}", "e0 e2"},
        Row{"{conditions: [{metric: waiting-queue, maxValue: 0}, {metric: running-requests, maxValue: 0}]}",
            "e0"},
        Row{"{conditions: [{metric: active-requests, maxValue: 0}]}", "e0 e1"},
        Row{"{conditions: [{metric: kv-cache-utilization, maxValue: 0}]}", "nobody"},
        Row{"{fallbackOnEmpty: true, conditions: [{metric: kv-cache-utilization, maxValue: 0}]}",
            "e0 e1 e2"}}) {
    Pool pool(only("utilization-filter", row.parameters), 3);
    pool.report(0, {.waiting = 0, .running = 0, .kv_usage = 0.1F});
    pool.report(1, {.waiting = 5, .running = 9, .kv_usage = 0.9F});
    pool.report(2, {.waiting = 6, .running = 0, .kv_usage = 0.1F});
    const Lease busy(pool.picker->endpoints()->endpoints[2]);
    EXPECT_EQ(left(pool), row.left) << row.parameters;
  }
}

TEST(EndpointAttributeFilter, ComparesWhatEnginesReport) {
  struct Row {
    const char* comparison;
    const char* left;
  };
  for (const Row& row : {Row{"LessThan", "e0"}, Row{"LessThanOrEqual", "e0 e1"}, Row{"GreaterThan", "e2"},
                         Row{"GreaterThanOrEqual", "e1 e2"}, Row{"Equal", "e1"}, Row{"NotEqual", "e0 e2"}}) {
    Pool pool(only("endpoint-attribute-filter",
                   "{attribute: WaitingQueueSize, algorithm: {type: threshold, threshold: {operator: " +
                       std::string(row.comparison) + ", value: 4}}}"),
              3);
    for (std::size_t i = 0; i < 3; ++i) {
      pool.report(i, {.waiting = static_cast<float>(3 + i)});
    }
    EXPECT_EQ(left(pool), row.left) << row.comparison;
  }
}

TEST(EndpointAttributeScorer, RangesAreFixedOrThoseOfTheCandidates) {
  struct Row {
    const char* algorithm;
    std::initializer_list<double> scores;
  };
  for (const Row& row :
       {Row{"{}", {1, 0.5, 0}}, Row{"{type: linear_higher_is_better}", {0, 0.5, 1}},
        Row{"{normalization: {fixedRange: {min: 0, max: 20}}}", {1, 0.75, 0.5}},
        Row{"{type: linear_higher_is_better, normalization: {fixedRange: {min: 0, max: 5}}}", {0, 1, 1}}}) {
    Pool pool(only("endpoint-attribute-scorer",
                   "{attributeKey: WaitingQueueSize, algorithm: " + std::string(row.algorithm) + "}"),
              3);
    for (std::size_t i = 0; i < 3; ++i) {
      pool.report(i, {.waiting = static_cast<float>(5 * i)});
    }
    EXPECT_THAT(pool.scores("endpoint-attribute-scorer"), are(row.scores)) << row.algorithm;
  }
}

TEST(PrefixCacheAffinityFilter, StaysWithTheCacheWhileItIsNotTooSlow) {
  struct Row {
    const char* parameters;
    std::int64_t tokens;  // in flight on the endpoint with the cache
    const char* left;
  };
  for (const Row& row :
       {Row{"{}", 0, "e1"}, Row{"{}", 1'000'000, "e0 e1 e2"}, Row{"{maxTTFTPenaltyMs: 0}", 1'000'000, "e1"},
        Row{"{maxTTFTPenaltyMs: 100, peakPrefillThroughput: 1000}", 99, "e1"},
        Row{"{maxTTFTPenaltyMs: 100, peakPrefillThroughput: 1000}", 101, "e0 e1 e2"},
        Row{"{affinityThreshold: 0}", 0, "e0 e1 e2"}, Row{"{explorationProbability: 1}", 0, "e0 e1 e2"}}) {
    Pool pool(
        "plugins: [{type: prefix-cache-affinity-filter, parameters: " + std::string(row.parameters) + "}]\n",
        3);
    const Prompt prompt(10);
    warm(pool, prompt, 1);
    const Lease load(pool.picker->endpoints()->endpoints[1], row.tokens);
    EXPECT_EQ(left(pool, prompt.request()), row.left) << row.parameters << " " << row.tokens;
  }
}

TEST(PrefixCacheAffinityFilter, WithoutAMatchEverybodyStays) {
  Pool pool(only("prefix-cache-affinity-filter"), 3);
  warm(pool, Prompt(10), 1);
  EXPECT_EQ(left(pool, Prompt(10, 2).request()), "e0 e1 e2");
  EXPECT_EQ(left(pool, {}), "e0 e1 e2");
}

constexpr std::string_view kNear = R"(plugins:
- {type: prefill-filter}
- {type: decode-filter}
- {type: always-disagg-pd-decider}
- {type: PLUGIN}
- {type: disagg-profile-handler, parameters: {deciders: {prefill: always-disagg-pd-decider}}}
schedulingProfiles:
- {name: prefill, plugins: [{pluginRef: prefill-filter}, {pluginRef: PLUGIN}]}
- {name: decode, plugins: [{pluginRef: decode-filter}]}
)";

std::string near_decode(std::string plugin, std::vector<Endpoint> prefill,
                        std::map<std::string, std::string> place) {
  std::string config(kNear);
  for (auto at = config.find("PLUGIN"); at != std::string::npos; at = config.find("PLUGIN")) {
    config.replace(at, 6, plugin);
  }
  place["llm-d.ai/role"] = "decode";
  prefill.push_back(labelled("d", place));
  Pool pool(config, 0);
  pool.set(std::move(prefill));
  const auto decision = pool.picker->pick({.model = "m"});
  return decision && decision->prefill() != nullptr ? decision->prefill()->name : "nobody";
}

TEST(Topology, PrefillGoesNearDecode) {
  const auto prefill = [](std::string name, std::string host, std::string zone) {
    return labelled(name, {{"llm-d.ai/role", "prefill"},
                           {"kubernetes.io/hostname", host},
                           {"topology.kubernetes.io/zone", zone}});
  };
  const std::vector<Endpoint> all{prefill("far", "h1", "z1"), prefill("zone", "h2", "z2"),
                                  prefill("host", "h3", "z2")};
  const std::map<std::string, std::string> place{{"kubernetes.io/hostname", "h3"},
                                                 {"topology.kubernetes.io/zone", "z2"}};
  EXPECT_EQ(near_decode("topology-affinity-scorer", all, place), "host");
  EXPECT_EQ(near_decode("topology-affinity-filter", all, place), "host");
  EXPECT_EQ(near_decode("topology-affinity-scorer", {all[0], all[1]}, place), "zone");
  EXPECT_NE(near_decode("topology-affinity-filter", {all[0], all[1]}, place), "nobody") << "it fails open";
  EXPECT_NE(near_decode("topology-affinity-filter", all, {}), "nobody") << "decode has no place";
}

TEST(HeaderProfileHandler, TheHeaderNamesTheProfile) {
  const std::string config = R"(plugins:
- {type: decode-filter}
- {type: prefill-filter}
- {type: header-profile-handler}
schedulingProfiles:
- {name: prefill, plugins: [{pluginRef: prefill-filter}]}
- {name: decode, plugins: [{pluginRef: decode-filter}]}
)";
  Pool pool(config, 0);
  pool.set({labelled("p", {{"llm-d.ai/role", "prefill"}}), labelled("d", {{"llm-d.ai/role", "decode"}})});
  const auto at = [&pool](std::string profile) {
    const Headers headers{{{"epp-profile", profile}}};
    return pool.pick({.headers = headers});
  };
  EXPECT_EQ(at("prefill"), "p");
  EXPECT_EQ(at("decode"), "d");
  EXPECT_EQ(at("  "), "d") << "blank: the default";
  EXPECT_EQ(at("unknown"), "429");
}

TEST(DisaggProfileHandler, PrefillFirstRunsPrefillWhetherItIsWorthItOrNot) {
  const std::string config = R"(plugins:
- {type: prefill-filter}
- {type: decode-filter}
- {type: disagg-profile-handler, parameters: {stageOrder: Prefill_First}}
schedulingProfiles:
- {name: prefill, plugins: [{pluginRef: prefill-filter}]}
- {name: decode, plugins: [{pluginRef: decode-filter}]}
)";
  Pool pool(config, 0);
  pool.set({labelled("p", {{"llm-d.ai/role", "prefill"}}), labelled("d", {{"llm-d.ai/role", "decode"}})});
  const auto both = pool.picker->pick({.model = "m"}).value();
  EXPECT_EQ(both.endpoint().name, "d");
  ASSERT_NE(both.prefill(), nullptr);
  EXPECT_EQ(both.prefill()->name, "p");
  pool.set({labelled("d", {{"llm-d.ai/role", "decode"}})});
  EXPECT_EQ(pool.pick({.model = "m"}), "d") << "its failure is tolerated";
}

TEST(DisaggProfileHandler, MediaAreEncodedElsewhere) {
  const std::string config = R"(plugins:
- {type: encode-filter}
- {type: decode-filter}
- {type: always-disagg-multimodal-decider}
- {type: disagg-profile-handler, parameters: {deciders: {encode: always-disagg-multimodal-decider}}}
schedulingProfiles:
- {name: encode, plugins: [{pluginRef: encode-filter}]}
- {name: decode, plugins: [{pluginRef: decode-filter}]}
)";
  Pool pool(config, 0);
  pool.set(
      {labelled("fd00::e", {{"llm-d.ai/role", "encode"}}), labelled("d", {{"llm-d.ai/role", "decode"}})});
  const auto text = pool.picker->pick({.model = "m"}).value();
  EXPECT_EQ(text.headers.find("x-encoder-hosts-ports"), std::nullopt);
  const auto picture = pool.picker->pick({.model = "m", .multimodal = true}).value();
  EXPECT_EQ(picture.headers.find("x-encoder-hosts-ports"), "[fd00::e]:8000");
}

TEST(PrefixBasedDecider, CountsWhatIsNotCached) {
  struct Row {
    const char* parameters;
    std::int64_t tokens;
    bool prefills;
  };
  for (const Row& row : {Row{"{nonCachedTokens: 0}", 10'000, false}, Row{"{nonCachedTokens: 100}", 99, false},
                         Row{"{nonCachedTokens: 100}", 100, true}, Row{"{nonCachedTokens: 100}", 5000, true},
                         Row{"{nonCachedTokens: 100, promptTokens: 200}", 150, false},
                         Row{"{nonCachedTokens: 100, promptTokens: 200}", 200, true}}) {
    Pool pool(
        "plugins:\n- {type: prefill-filter}\n- {type: decode-filter}\n- {type: prefix-based-pd-decider, "
        "parameters: " +
            std::string(row.parameters) +
            "}\n- {type: disagg-profile-handler, parameters: {deciders: {prefill: "
            "prefix-based-pd-decider}}}\n"
            "schedulingProfiles:\n- {name: prefill, plugins: [{pluginRef: prefill-filter}]}\n"
            "- {name: decode, plugins: [{pluginRef: decode-filter}]}\n",
        0);
    pool.set({labelled("p", {{"llm-d.ai/role", "prefill"}}), labelled("d", {{"llm-d.ai/role", "decode"}})});
    const auto decision = pool.picker->pick({.model = "m", .estimated_tokens = row.tokens}).value();
    EXPECT_EQ(decision.prefill() != nullptr, row.prefills) << row.parameters << " " << row.tokens;
  }
}

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

TEST(RolloutScreener, ARevisionNeedsAllItsRoles) {
  const std::string config =
      only("disaggregatedset-rollout-screener", R"({scope: {labelSelector: {matchLabels: {app: x}}},
    headerSelectors: [{name: team, headerName: X-Team, labelKey: team, mode: strict},
                      {name: zone, headerName: X-Zone, labelKey: zone, mode: prefer}],
    revisionGating: {mode: sum, requireRoles: {values: [prefill, decode]}}})");
  const auto pod = [](std::string name, std::string revision, std::string role,
                      std::map<std::string, std::string> more = {}) {
    more["app"] = "x";
    more["disaggregatedset.x-k8s.io/revision"] = revision;
    more["disaggregatedset.x-k8s.io/role"] = role;
    return labelled(name, more);
  };
  Pool pool(config, 0);
  pool.set({pod("old-p", "1", "prefill"), pod("old-d", "1", "decode"), pod("new-p", "2", "prefill")});
  EXPECT_EQ(left(pool), "old-p old-d") << "revision 2 has no decode yet";
  pool.set({pod("new-p", "2", "prefill"), labelled("stranger", {{"app", "y"}})});
  EXPECT_EQ(pool.pick(), "503") << "it fails closed";
  pool.set({pod("p", "1", "prefill", {{"team", "red"}, {"zone", "a"}}),
            pod("d", "1", "decode", {{"team", "red"}, {"zone", "b"}})});
  const Headers red{{{"x-team", "red"}, {"x-zone", "nowhere"}}};
  EXPECT_EQ(left(pool, {.headers = red}), "p d") << "a preference that nobody fits is none";
  const Headers blue{{{"x-team", "blue"}}};
  EXPECT_EQ(pool.pick({.headers = blue}), "503");
}

TEST(HeaderLabelAffinityScorer, EqualValuesScoreOne) {
  Pool pool(only("header-label-affinity-scorer", "{headerName: X-Tier, labelKey: tier}"), 0);
  pool.set({labelled("gold", {{"tier", "gold"}}), labelled("none", {})});
  const Headers gold{{{"x-tier", "gold"}}};
  EXPECT_THAT(pool.scores("header-label-affinity-scorer", {.headers = gold}), are({1, 0}));
  EXPECT_THAT(pool.scores("header-label-affinity-scorer"), are({0, 0}));
}

TEST(SessionAffinity, WithoutASessionTheScorerAbstainsAndTheFilterKeepsAll) {
  Pool scorer(only("session-affinity-scorer"), 2);
  EXPECT_THAT(scorer.scores("session-affinity-scorer"), are({0, 0}));
  Pool filter(only("session-affinity-filter"), 2);
  EXPECT_EQ(left(filter), "e0 e1");
  const Headers gone{{{"x-session-token", "ZGVmYXVsdC9nb25l"}}};  // default/gone
  EXPECT_EQ(left(filter, {.headers = gone}), "e0 e1");
  const Headers nonsense{{{"x-session-token", "%%%"}}};
  EXPECT_EQ(left(filter, {.headers = nonsense}), "e0 e1");
  const Headers pinned{{{"x-session-token", "ZGVmYXVsdC9lMQ=="}}};  // default/e1
  EXPECT_EQ(left(filter, {.headers = pinned}), "e1");
  EXPECT_THAT(scorer.scores("session-affinity-scorer", {.headers = pinned}), are({0, 1}));
}

TEST(P2pSource, NamesAnEndpointThatHasMoreOfThePrompt) {
  Pool pool(
      "plugins: [{type: queue-scorer}, {type: max-score-picker}, {type: prefix-cache-scorer}, {type: "
      "p2p-source-producer, "
      "parameters: {minCachedTokenDelta: 100}}]\nschedulingProfiles: [{name: default, plugins: "
      "[{pluginRef: queue-scorer}, {pluginRef: max-score-picker}]}]\n",
      2);
  const Prompt prompt(8);
  warm(pool, prompt, 1);
  pool.report(0, {.waiting = 0});
  pool.report(1, {.waiting = 9});
  const Headers forged{{{"x-kv-cache-source-host-port", "evil:1"}}};
  Request request = prompt.request();
  request.headers = forged;
  const auto decision = pool.picker->pick(request).value();
  EXPECT_EQ(decision.endpoint().name, "e0");
  EXPECT_EQ(decision.headers.find("x-kv-cache-source-host-port"), "10.0.0.1:8000");
  const Prompt unknown(8, 9);
  Request cold = unknown.request();
  cold.headers = forged;
  const auto nothing = pool.picker->pick(cold).value();
  EXPECT_EQ(nothing.headers.find("x-kv-cache-source-host-port"), std::nullopt);
  EXPECT_TRUE(nothing.headers.edits()[0].remove) << "clients do not choose it";
}

TEST(ConditionalDecode, WantsACachedBlock) {
  Pool pool(only("prefix-cache-scorer"), 2);
  const Prompt prompt(8);
  const Headers prefer{{{"prefer", "if-available"}}};
  Request request = prompt.request();
  request.headers = prefer;
  EXPECT_EQ(pool.pick(request), "412");
  warm(pool, prompt, 1);
  EXPECT_EQ(pool.pick(request), "e1");
}

// What a usage limit lets each of the priorities 10, 0 and -10 have.
std::vector<double> ceilings(std::string_view plugin, double saturation) {
  const std::string text = "featureGates: [flowControl]\nplugins: [{name: limit, " + std::string(plugin) +
                           "}]\nflowControl: {usageLimitPolicyPluginRef: limit}\n";
  const LoadOptions load{.allow_experimental = true};
  const auto plan = build_plan(parse_configuration(text, "limits", load).value(), {.load = load}).value();
  const int priorities[] = {10, 0, -10};
  std::vector<double> found(3);
  plan->usage_limit->ceilings(priorities, saturation, found);
  return found;
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
