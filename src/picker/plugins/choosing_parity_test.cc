// How scores become a choice, as llm-d's own tests state the rules of pickers and profiles.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

std::map<std::string, int> drawn(Pool& pool, int count) {
  std::map<std::string, int> found;
  for (int i = 0; i < count; ++i) {
    ++found[pool.pick()];
  }
  return found;
}

std::string chosen_by(std::string_view picker) {
  return "plugins: [{type: kv-cache-utilization-scorer}, {type: " + std::string(picker) + "}]\n";
}

TEST(Pickers, EqualScoresAreAsLikely) {
  for (const char* picker : {"max-score-picker", "random-picker", "weighted-random-picker"}) {
    for (const float usage : {0.5F, 1.0F}) {
      Pool pool(chosen_by(picker), 3);
      for (std::size_t i = 0; i < 3; ++i) {
        pool.report(i, {.kv_usage = usage});
      }
      const auto found = drawn(pool, 3000);
      for (const char* endpoint : {"e0", "e1", "e2"}) {
        EXPECT_NEAR(found.at(endpoint), 1000, 150) << picker << " " << usage;
      }
    }
  }
}

TEST(Pickers, FollowScoresEachInItsWay) {
  struct Row {
    const char* picker;
    std::array<double, 3> shares;  // of endpoints that score 0.6, 0.2 and 0
  };
  for (const Row& row : {Row{"max-score-picker", {1, 0, 0}}, Row{"random-picker", {1. / 3, 1. / 3, 1. / 3}},
                         Row{"weighted-random-picker", {0.75, 0.25, 0}}}) {
    Pool pool(chosen_by(row.picker), 3);
    pool.report(0, {.kv_usage = 0.4F});
    pool.report(1, {.kv_usage = 0.8F});
    pool.report(2, {.kv_usage = 1});
    auto found = drawn(pool, 3000);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(found["e" + std::to_string(i)] / 3000.0, row.shares[i], 0.05) << row.picker << i;
    }
  }
}

TEST(Pickers, NameAsManyFallbacksAsTheyMay) {
  for (const char* picker : {"max-score-picker", "random-picker", "weighted-random-picker"}) {
    for (const auto& [most, named] : {std::pair(-1, 1), {0, 1}, {1, 1}, {2, 2}, {9, 3}}) {
      Pool pool(fmt::format("plugins: [{{type: queue-scorer}}, {{type: {}, parameters: {{maxNumOfEndpoints: "
                            "{}}}}}]\n",
                            picker, most),
                3);
      const std::string all = pool.picker->pick({})->destinations();
      EXPECT_EQ(std::ranges::count(all, ',') + 1, named) << picker << most;
    }
  }
}

TEST(Profiles, AddUpScoresByTheirWeights) {
  Pool pool(R"(plugins: [{type: queue-scorer}, {type: kv-cache-utilization-scorer}, {type: max-score-picker}]
schedulingProfiles:
- name: default
  plugins: [{pluginRef: queue-scorer, weight: 2}, {pluginRef: kv-cache-utilization-scorer, weight: 0.5}, {pluginRef: max-score-picker}]
)",
            2);
  pool.report(0, {.waiting = 0, .kv_usage = 0.8F});
  pool.report(1, {.waiting = 9, .kv_usage = 0});
  const auto decision = pool.picker->pick({}).value();
  EXPECT_EQ(decision.endpoint().name, "e0");
  EXPECT_NEAR(decision.score, 2 * 1 + 0.5 * 0.2, 1e-5);
}

TEST(Profiles, AFilterSeesWhatTheOneBeforeHasLeft) {
  const auto with_order = [](std::string_view first, std::string_view second) {
    return fmt::format(R"(plugins:
- {{name: short, type: utilization-filter, parameters: {{fallbackOnEmpty: true, conditions: [{{metric: waiting-queue, maxValue: 1}}]}}}}
- {{name: free, type: utilization-filter, parameters: {{fallbackOnEmpty: true, conditions: [{{metric: kv-cache-utilization, maxValue: 0.1}}]}}}}
- {{type: max-score-picker}}
schedulingProfiles:
- {{name: default, plugins: [{{pluginRef: {}}}, {{pluginRef: {}}}, {{pluginRef: max-score-picker}}]}}
)",
                       first, second);
  };
  // e0 has a short queue, e1 a free cache: who is asked first decides.
  for (const auto& [first, second, left_over] :
       {std::tuple("short", "free", "e0"), std::tuple("free", "short", "e1")}) {
    Pool pool(with_order(first, second), 2);
    pool.report(0, {.waiting = 0, .kv_usage = 0.9F});
    pool.report(1, {.waiting = 9, .kv_usage = 0});
    EXPECT_EQ(left(pool), left_over);
  }
}

TEST(LatencyScorer, WithoutPredictionsItMixesCacheQueueAndPrefix) {
  struct Row {
    const char* parameters;
    std::initializer_list<double> scores;
  };
  for (const Row& row :
       {Row{"{}", {0.6, 0.33}}, Row{"{compositeKVWeight: 0, compositePrefixWeight: 0}", {1, 0}},
        Row{"{compositeQueueWeight: 0, compositePrefixWeight: 0}", {0.8, 0}},
        Row{"{compositeKVWeight: 0, compositeQueueWeight: 0}", {0, 1}},
        Row{"{compositeKVWeight: 0, compositeQueueWeight: 0, compositePrefixWeight: 0}", {0.8, 0}}}) {
    Pool pool(only("latency-scorer", row.parameters), 2);
    const Prompt prompt(4);
    warm(pool, prompt, 1);
    pool.report(0, {.waiting = 0, .kv_usage = 0.2F});
    pool.report(1, {.waiting = 4, .kv_usage = 1});
    EXPECT_THAT(pool.scores("latency-scorer", prompt.request()), are(row.scores)) << row.parameters;
  }
}

}  // namespace
}  // namespace llmd::picker
