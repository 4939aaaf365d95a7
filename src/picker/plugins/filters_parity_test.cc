// Which endpoints filters leave, as llm-d's own tests state the rules: a table per plugin, seen through
// decisions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

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

}  // namespace
}  // namespace llmd::picker
