// Rules of single plugins, seen through the decisions of a picker that runs them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

TEST(ScorerTest, ShorterQueuesScoreHigher) {
  Pool pool(only("queue-scorer"), 3);
  EXPECT_THAT(pool.scores("queue-scorer"), are({1, 1, 1}));
  pool.report(0, {.waiting = 10});
  pool.report(1, {.waiting = 5});
  pool.report(2, {.waiting = 0});
  EXPECT_THAT(pool.scores("queue-scorer"), are({0, 0.5, 1}));
}

TEST(ScorerTest, FreeCacheScoresHigher) {
  Pool pool(only("kv-cache-scorer"), 2);
  pool.report(0, {.kv_usage = 0.8F});
  pool.report(1, {.kv_usage = 0.25F});
  EXPECT_THAT(pool.scores("kv-cache-scorer"), are({0.2, 0.75}));
}

TEST(ScorerTest, LoadAwareFallsFromHalfToZeroAtTheThreshold) {
  Pool pool(only("load-aware-scorer", "{threshold: 10}"), 3);
  pool.report(0, {.waiting = 0});
  pool.report(1, {.waiting = 2});
  pool.report(2, {.waiting = 11});
  EXPECT_THAT(pool.scores("load-aware-scorer"), are({0.5, 0.4, 0}));
}

TEST(ScorerTest, ActiveRequestsCountLeases) {
  Pool pool(only("active-request-scorer", "{maxBusyScore: 0.5}"), 2);
  const auto all = pool.picker->endpoints()->endpoints;
  const Lease one(all[0]);
  const Lease two(all[0]);
  const Lease three(all[1]);
  EXPECT_THAT(pool.scores("active-request-scorer"), are({0, 0.25}));
}

TEST(ScorerTest, AdaptersThatAreLoadedComeFirst) {
  Pool pool(only("lora-affinity-scorer"), 4);
  pool.report(0, {.adapters = Adapters{{"sql"}, {}, 1}});
  pool.report(1, {.adapters = Adapters{{"x"}, {}, 2}});
  pool.report(2, {.adapters = Adapters{{"x"}, {"sql"}, 2}});
  pool.report(3, {.adapters = Adapters{{"x"}, {"y"}, 2}});
  EXPECT_THAT(pool.scores("lora-affinity-scorer", {.model = "sql"}), are({1, 0.8, 0.6, 0}));
}

TEST(ScorerTest, ContextLengthPrefersTheNarrowestRangeThatFits) {
  Pool pool(only("context-length-aware"), 0);
  const auto labelled = [](std::string name, std::string range) {
    Endpoint endpoint{.address = {name, 1}, .name = name};
    if (!range.empty()) {
      endpoint.labels["llm-d.ai/context-length-range"] = range;
    }
    return endpoint;
  };
  pool.set(
      {labelled("fits", "0-2000"), labelled("short", "0-500"), labelled("any", ""), labelled("bad", "x")});
  EXPECT_THAT(pool.scores("context-length-aware", {.estimated_tokens = 1000}),
              are({0.3 + 0.7 * (0.7 / 1.2 + 0.3 * 0.5), 0.3 / 1.5, 0.5, 0}));
}

TEST(ScorerTest, ColdRequestsGoWhereNoneWentForLongest) {
  Pool pool(only("no-hit-lru-scorer"), 3);
  std::string order;
  for (int i = 0; i < 6; ++i) {
    order += pool.pick() + " ";
  }
  EXPECT_EQ(order, "e0 e1 e2 e0 e1 e2 ");
}

TEST(PrefixTest, ARepeatedPromptGoesWhereItWentAndScoresItsShare) {
  Pool pool(only("prefix-cache-scorer"), 4);
  std::vector<std::uint64_t> units(64);
  for (std::size_t i = 0; i < units.size(); ++i) {
    units[i] = i * 77 + 1;
  }
  const Request request{.model = "m", .prompt_bytes = 64 * 64, .prompt_units = units};
  const std::string first = pool.pick(request);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(pool.pick(request), first);
  }
  const Request other{.model = "other", .prompt_bytes = 64 * 64, .prompt_units = units};
  EXPECT_THAT(pool.scores("prefix-cache-scorer", other), are({0, 0, 0, 0}));
  std::vector<std::uint64_t> half = units;
  half[32] = 5;
  auto scores =
      pool.scores("prefix-cache-scorer", {.model = "m", .prompt_bytes = 4096, .prompt_units = half});
  EXPECT_THAT(*std::ranges::max_element(scores), DoubleNear(0.5, 1e-6));
}

TEST(PrefixTest, AnEngineThatLostItsCacheIsForgottenAndCounted) {
  Pool pool(only("prefix-cache-scorer"), 1);
  std::vector<std::uint64_t> units(60);
  std::iota(units.begin(), units.end(), 1U);
  const Request request{.model = "m", .prompt_bytes = 60 * 64, .prompt_units = units};
  pool.pick(request);
  bool forgotten = false;
  for (int i = 0; i < 10 && !forgotten; ++i) {
    auto decision = pool.picker->pick(request).value();
    forgotten = decision.predicted_cached_tokens == 0;
    decision.complete({.usage = {.prompt_tokens = 960, .completion_tokens = 1, .cached_tokens = 0}});
  }
  EXPECT_TRUE(forgotten);
  const json::Value state = pool.picker->debug_state();
  EXPECT_EQ(json::int_at(state, "plugins[approx-prefix-cache-producer].state.predictions[default/e0].heals"),
            1);
}

TEST(FilterTest, RolesAreReadFromLabels) {
  const std::string decode = "plugins: [{type: decode-filter}]\n";
  struct Row {
    const char* role;
    bool decodes;
  };
  for (const Row& row : {Row{"decode", true}, Row{"prefill", false}, Row{"both", true}, Row{"encode", false},
                         Row{"prefill-decode", true}, Row{"encode-prefill-decode", true}, Row{"", true}}) {
    Pool pool(decode, 1,
              *row.role ? std::map<std::string, std::string>{{"llm-d.ai/role", row.role}}
                        : std::map<std::string, std::string>{});
    EXPECT_EQ(pool.pick(), row.decodes ? "e0" : "429") << row.role;
  }
}

TEST(FilterTest, SelectorsUnderstandExpressions) {
  Pool pool(only("label-selector-filter",
                 "{matchLabels: {a: x}, matchExpressions: [{key: b, operator: NotIn, values: [why]}]}"),
            0);
  pool.set({{.address = {"1", 1}, .name = "no", .labels = {{"a", "x"}, {"b", "why"}}},
            {.address = {"2", 1}, .name = "yes", .labels = {{"a", "x"}, {"b", "z"}}},
            {.address = {"3", 1}, .name = "other", .labels = {{"b", "z"}}}});
  EXPECT_EQ(pool.pick(), "yes");
}

TEST(FilterTest, OwnersAreFoundInModelListsAndLabels) {
  Pool pool(only("model-owner-filter"), 2);
  const auto endpoints = pool.picker->endpoints()->endpoints;
  endpoints[0]->list_models({{"m", "vllm", ""}});
  endpoints[1]->list_models({{"m", "sglang", ""}});
  const Headers headers{{{"x-owned-by", "sglang"}}};
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(pool.pick({.model = "m", .headers = headers}), "e1");
  }
  const Headers nobody{{{"x-owned-by", "nobody"}}};
  EXPECT_EQ(pool.pick({.model = "m", .headers = nobody}), "429");
}

TEST(FilterTest, HeadersSelectLabels) {
  Pool pool(only("header-label-filter", "{headerName: X-Team, labelKey: team}"), 0);
  pool.set({{.address = {"1", 1}, .name = "red", .labels = {{"team", "red"}}},
            {.address = {"2", 1}, .name = "blue", .labels = {{"team", "blue"}}}});
  const Headers blue{{{"x-team", "blue"}}};
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(pool.pick({.headers = blue}), "blue");
  }
}

TEST(SessionTest, TheTokenOfAnAnswerLeadsBack) {
  Pool pool(only("session-affinity-scorer"), 4);
  auto decision = pool.picker->pick({}).value();
  HeaderEdits edits;
  decision.response_headers(200, {}, edits);
  const Headers sent{{{"x-session-token", std::string(edits.find("x-session-token").value())}}};
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(pool.pick({.headers = sent}), decision.endpoint().name);
  }
}

TEST(SessionTest, AnIdIsBoundUntilItsEndpointLeaves) {
  Pool pool(only("session-affinity-filter", "{strategy: session_id}"), 4);
  const Headers sent{{{"x-session-id", "s"}}};
  const std::string first = pool.pick({.headers = sent});
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(pool.pick({.headers = sent}), first);
  }
  pool.set({{.address = {"9", 1}, .name = "new"}});
  EXPECT_EQ(pool.pick({.headers = sent}), "new");
}

constexpr std::string_view kPrefillDecode = R"(plugins:
- type: prefill-filter
- type: decode-filter
- type: prefix-based-pd-decider
  parameters: {nonCachedTokens: 100}
- type: disagg-profile-handler
  parameters: {deciders: {prefill: prefix-based-pd-decider}}
schedulingProfiles:
- name: prefill
  plugins: [{pluginRef: prefill-filter}]
- name: decode
  plugins: [{pluginRef: decode-filter}]
)";

Pool prefill_and_decode() {
  Pool pool(kPrefillDecode, 0);
  pool.set({{.address = {"fd00::1", 8000}, .name = "p", .labels = {{"llm-d.ai/role", "prefill"}}},
            {.address = {"10.0.0.2", 8000}, .name = "d", .labels = {{"llm-d.ai/role", "decode"}}}});
  return pool;
}

TEST(DisaggregationTest, LongPromptsArePrefilledElsewhereUntilTheyAreCached) {
  Pool pool = prefill_and_decode();
  std::vector<std::uint64_t> units(100);
  std::iota(units.begin(), units.end(), 1U);
  const Request request{.model = "m", .prompt_bytes = 6400, .prompt_units = units};
  const Headers forged{{{"x-prefiller-host-port", "evil:1"}}};
  auto first =
      pool.picker->pick({.model = "m", .headers = forged, .prompt_bytes = 6400, .prompt_units = units})
          .value();
  EXPECT_EQ(first.endpoint().name, "d");
  EXPECT_EQ(first.headers.find("x-prefiller-host-port"), "[fd00::1]:8000");
  pool.scores("x", request);  // the chain is in the index by now or a moment later
  const auto short_one = pool.picker->pick({.model = "m", .headers = forged, .prompt_bytes = 40}).value();
  EXPECT_EQ(short_one.prefill(), nullptr);
  ASSERT_EQ(short_one.headers.edits().size(), 1);
  EXPECT_TRUE(short_one.headers.edits()[0].remove) << "clients do not choose the prefill endpoint";
}

TEST(DisaggregationTest, WithoutDecodeEndpointsNobodyServes) {
  Pool pool(kPrefillDecode, 1, {{"llm-d.ai/role", "prefill"}});
  EXPECT_EQ(pool.pick(), "429");
}

TEST(DisaggregationTest, WithoutPrefillEndpointsDecodeDoesAll) {
  Pool pool(kPrefillDecode, 1, {{"llm-d.ai/role", "decode"}});
  const auto decision = pool.picker->pick({.model = "m", .prompt_bytes = 100'000}).value();
  EXPECT_EQ(decision.prefill(), nullptr);
}

TEST(DataParallelTest, TheRankIsNamedAndThePrimaryPortServes) {
  Pool pool(only("data-parallel-profile-handler", "{primaryPort: 8000}"), 0);
  pool.set({{.address = {"10.0.0.1", 8003}, .name = "rank-3"}});
  const auto decision = pool.picker->pick({}).value();
  EXPECT_EQ(decision.destinations(), "10.0.0.1:8000");
  EXPECT_EQ(decision.headers.find("x-data-parallel-host-port"), "10.0.0.1:8003");
}

TEST(PickerPluginTest, SeveralEndpointsAreAFallbackList) {
  Pool pool("plugins: [{type: queue-scorer}, {type: max-score-picker, parameters: {maxNumOfEndpoints: 2}}]\n",
            3);
  pool.report(0, {.waiting = 2});
  pool.report(1, {.waiting = 0});
  pool.report(2, {.waiting = 1});
  EXPECT_EQ(pool.picker->pick({}).value().destinations(), "10.0.0.1:8000,10.0.0.2:8000");
}

TEST(PickerPluginTest, WeightedDrawsFollowTheScores) {
  Pool pool("plugins: [{type: kv-cache-utilization-scorer}, {type: weighted-random-picker}]\n", 2);
  pool.report(0, {.kv_usage = 0.25F});
  pool.report(1, {.kv_usage = 0.75F});
  std::map<std::string, int> drawn;
  for (int i = 0; i < 4000; ++i) {
    ++drawn[pool.pick()];
  }
  EXPECT_NEAR(drawn["e0"], 3000, 150);
}

TEST(AdmissionTest, OnlySheddableRequestsAreShedWhenSaturated) {
  Pool pool(only("queue-scorer"), 2);
  for (std::size_t i = 0; i < 2; ++i) {
    pool.report(i, {.waiting = 50, .kv_usage = 0.1F});
  }
  EXPECT_EQ(pool.picker->pick({.priority = -1}).error().status, 429);
  EXPECT_EQ(pool.picker->pick({.priority = -1}).error().reason, "rejected-saturated");
  EXPECT_TRUE(pool.picker->pick({.priority = 0}));
  EXPECT_TRUE(pool.picker->pick({.priority = 5}));
  pool.report(0, {.waiting = 0});
  pool.report(1, {.waiting = 0});
  EXPECT_TRUE(pool.picker->pick({.priority = -1}));
}

TEST(SubsetTest, OnlyHostsOfTheHintAreCandidates) {
  Pool pool(only("queue-scorer"), 3);
  const std::string_view wanted[] = {"10.0.0.2:1234", "10.0.0.9"};
  EXPECT_EQ(pool.pick({.subset = wanted}), "e2");
  EXPECT_EQ(pool.pick({.subset = std::span<const std::string_view>()}), "503");
}

TEST(StalenessTest, ASilentEndpointIsNotTakenForAnIdleOne) {
  Pool pool(only("queue-scorer"), 3);
  const TimePoint now = std::chrono::steady_clock::now();
  const auto endpoints = pool.picker->endpoints()->endpoints;
  endpoints[0]->report({.waiting = 0}, now - std::chrono::minutes(1));
  endpoints[1]->report({.waiting = 2}, now);
  endpoints[2]->report({.waiting = 4}, now);
  EXPECT_THAT(pool.scores("queue-scorer"), are({0.5, 1, 0}));
}

}  // namespace
}  // namespace llmd::picker
