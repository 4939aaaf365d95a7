// Scores of endpoints, as llm-d's own tests state the rules: a table per plugin, seen through decisions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

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

TEST(HeaderLabelAffinityScorer, EqualValuesScoreOne) {
  Pool pool(only("header-label-affinity-scorer", "{headerName: X-Tier, labelKey: tier}"), 0);
  pool.set({labelled("gold", {{"tier", "gold"}}), labelled("none", {})});
  const Headers gold{{{"x-tier", "gold"}}};
  EXPECT_THAT(pool.scores("header-label-affinity-scorer", {.headers = gold}), are({1, 0}));
  EXPECT_THAT(pool.scores("header-label-affinity-scorer"), are({0, 0}));
}

}  // namespace
}  // namespace llmd::picker
