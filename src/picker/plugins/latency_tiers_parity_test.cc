// What predictions do to scores and tiers, as llm-d's own tests state the rules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "picker/plugins/testing_pool.h"
#include "picker/testing_clock.h"

namespace llmd::picker {
namespace {

using std::chrono::milliseconds;

// A picker that has learned: an engine with nobody waiting begins after 100 ms, one with 20 waiting after a
// second. Afterwards "quick" is such a one, "slow" the other.
struct QuickAndSlow {
  explicit QuickAndSlow(std::string_view plugin) {
    const std::string config = "plugins: [{type: predicted-latency-producer}, " + std::string(plugin) + "]\n";
    auto made = Picker::from_config(config, "tiers",
                                    {.load = {.allow_experimental = true, .seed = 7}, .clock = &clock});
    EXPECT_TRUE(made) << made.error().text();
    picker = std::move(*made);
    picker->update({labelled("quick", {}), labelled("slow", {})});
    for (int i = 0; i < 100; ++i) {
      const bool busy = i % 2 == 0;
      report(0, busy);
      report(1, busy);
      Decision decision = pick({}).value();
      clock.pass(milliseconds(busy ? 1000 : 100));
      decision.first_token();
      decision.complete({.usage = {.prompt_tokens = 100, .completion_tokens = 1}});
    }
    report(0, false);
    report(1, true);
  }
  void report(std::size_t endpoint, bool busy) {
    picker->endpoints()->endpoints[endpoint]->report(
        {.waiting = busy ? 20.0F : 0.0F, .running = busy ? 8.0F : 0.0F, .kv_usage = busy ? 0.9F : 0.1F},
        clock.now());
  }
  PickResult<Decision> pick(const HeaderMap& objectives, std::span<const EndpointPtr> without = {}) {
    const Headers headers{objectives};
    return picker->pick(
        {.id = "r", .model = "m", .headers = headers, .stream = true, .estimated_tokens = 100}, without);
  }
  static HeaderMap within(int milliseconds) {
    return {{"x-llm-d-slo-ttft-ms", std::to_string(milliseconds)}};
  }
  // What the scorer gave to "quick" and to "slow".
  Scores scores(int objective) {
    EXPECT_TRUE(pick(within(objective)));
    const json::Value last = picker->explain_last(1);
    Scores found;
    for (const json::Value& endpoint : *json::array_at(last, "[0].profiles[0].endpoints")) {
      found.push_back(json::double_at(endpoint, "scores[latency-scorer]").value_or(-1));
    }
    return found;
  }
  HandClock clock;
  std::unique_ptr<Picker> picker;
};

TEST(LatencyScorer, WhoIsInTimeComesFirst) {
  QuickAndSlow pool("{type: latency-scorer}");
  const Scores scores = pool.scores(500);
  EXPECT_GT(scores[0], 0);
  EXPECT_EQ(scores[1], 0);
}

TEST(LatencyScorer, OfThoseInTimeTheTightestOrTheRoomiestIsBest) {
  QuickAndSlow least("{type: latency-scorer}");
  EXPECT_THAT(least.scores(5000), are({0.01, 1})) << "1.01 counts as 1";
  QuickAndSlow most("{type: latency-scorer, parameters: {headroomSelectionStrategy: most}}");
  EXPECT_THAT(most.scores(5000), are({1, 0.01}));
}

TEST(LatencyScorer, OfThoseTooLateAnIdleOneAndThenTheLeastLateIsBest) {
  QuickAndSlow pool("{type: latency-scorer}");
  EXPECT_THAT(pool.scores(1), are({1, 0.01})) << "both are idle";
  const std::vector<EndpointPtr> quick{pool.picker->endpoints()->endpoints[0]};
  const std::vector<EndpointPtr> slow{pool.picker->endpoints()->endpoints[1]};
  const Decision on_quick = pool.pick({}, slow).value();
  const Scores scores = pool.scores(1);
  EXPECT_EQ(scores[0], 0) << "quick runs a request";
  EXPECT_GT(scores[1], 0);
  const Decision on_slow = pool.pick({}, quick).value();
  EXPECT_THAT(pool.scores(1), are({1, 0.01})) << "nobody is idle";
}

TEST(SloHeadroomTierFilter, NowAndThenItLooksAtThoseTooLate) {
  for (const double epsilon : {0.0, 0.25, 1.0}) {
    QuickAndSlow pool(
        fmt::format("{{type: slo-headroom-tier-filter, parameters: {{epsilonExploreNeg: {}}}}}", epsilon));
    int late = 0;
    for (int i = 0; i < 400; ++i) {
      late += pool.pick(QuickAndSlow::within(500)).value().endpoint().name == "slow" ? 1 : 0;
    }
    EXPECT_NEAR(late / 400.0, epsilon, 0.08);
  }
}

}  // namespace
}  // namespace llmd::picker
