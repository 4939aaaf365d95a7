// A small fleet: what choices of endpoints do to it, and whether their latency is foreseen. All on virtual
// time.
#include "engine/fleet/fleet.h"

#include <gtest/gtest.h>

#include <numeric>

#include "engine/server/arguments.h"

namespace llmd::engine::fleet {
namespace {

// A tenth of Qwen3-32B on two H100 (bench/routing.py): the same speed for its cache and prompts of a tenth.
std::vector<std::string> engine_flags() {
  return {"bench",
          "--simulate",
          "--prefill-time-per-token=0.48828125",
          "--prefill-overhead=22",
          "--prefill-time-std-dev=2",
          "--inter-token-latency=22",
          "--inter-token-latency-std-dev=4",
          "--time-factor-under-load=2",
          "--max-num-seqs=256",
          "--one-prefill-at-a-time",
          "--enable-prefix-caching",
          "--kv-cache-size=1920",
          "--max-model-len=8192"};
}

std::string profile(std::string_view plugins, std::string_view steps) {
  return fmt::format(R"(
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: single-profile-handler
- type: max-score-picker
- type: queue-scorer
- type: kv-cache-utilization-scorer
{}
schedulingProfiles:
- name: default
  plugins:
  - pluginRef: queue-scorer
    weight: 2
  - pluginRef: kv-cache-utilization-scorer
    weight: 2
{}
  - pluginRef: max-score-picker
)",
                     plugins, steps);
}

std::string prefix_aware(std::string_view further_plugins = "") {
  return profile(fmt::format("- type: prefix-cache-scorer\n{}", further_plugins),
                 "  - pluginRef: prefix-cache-scorer\n    weight: 3");
}

std::unique_ptr<Fleet> fleet_of(std::optional<std::string> config) {
  auto engine = parse_arguments(engine_flags());
  EXPECT_TRUE(engine) << engine.error().text();
  auto fleet = Fleet::create({.engine = *engine, .engines = 4, .picker_config = std::move(config)});
  EXPECT_TRUE(fleet) << fleet.error().text();
  return std::move(*fleet);
}

// 73 % of the fleet's cache.
const Workload kWorkload{
    .groups = 75, .prompts_per_group = 5, .prefix_tokens = 600, .question_tokens = 120, .output_tokens = 40};

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

StepReport after_warm_up(Fleet& fleet, double rate, std::size_t requests) {
  fleet.run(kWorkload, {.rate = 8, .requests = 400});
  return fleet.run(kWorkload, {.rate = rate, .requests = requests});
}

TEST(Fleet, AnswersEveryRequestWithAllItsTokens) {
  const StepReport report = after_warm_up(*fleet_of(std::nullopt), 5, 60);
  EXPECT_EQ(report.ttft_seconds.size(), 60U);
  EXPECT_EQ(report.output_tokens, 60 * 40);
  EXPECT_EQ(report.timed_out + report.refused, 0U);
  EXPECT_EQ(report.chosen, (std::vector<std::uint64_t>{15, 15, 15, 15})) << "in turns";
}

TEST(Fleet, IsTheSameEveryTime) {
  const auto run = [] { return after_warm_up(*fleet_of(prefix_aware()), 30, 200).ttft_seconds; };
  EXPECT_EQ(run(), run());
}

TEST(Fleet, PrefixAwareRoutingStaysFlatWhereTurnsCollapse) {
  const double turns = mean(after_warm_up(*fleet_of(std::nullopt), 30, 400).ttft_seconds);
  const double aware = mean(after_warm_up(*fleet_of(prefix_aware()), 30, 400).ttft_seconds);
  EXPECT_GT(turns, 2.0);
  EXPECT_LT(aware, 0.25);
}

TEST(Fleet, ClientsThatGiveUpAreCountedAndLeaveNothingBehind) {
  auto engine = parse_arguments(engine_flags());
  auto fleet = Fleet::create(
      {.engine = *engine, .engines = 1, .picker_config = prefix_aware(), .timeout = std::chrono::seconds(2)});
  ASSERT_TRUE(fleet);
  const StepReport hurried = (*fleet)->run(kWorkload, {.rate = 50, .requests = 100});
  EXPECT_GT(hurried.timed_out, 50U);
  const StepReport calm = (*fleet)->run(kWorkload, {.rate = 0.5, .requests = 10});
  EXPECT_EQ(calm.timed_out, 0U);
  EXPECT_LT(mean(calm.ttft_seconds), 0.5);
}

// The goal: at most 15 % mean absolute percentage error, of predictions that were made before the fact.
TEST(Fleet, LatencyIsForeseenWithinFifteenPercent) {
  const auto fleet =
      fleet_of(prefix_aware("- type: predicted-latency-producer\n  parameters: {streamingMode: true}\n"));
  fleet->run(kWorkload, {.rate = 8, .requests = 400});
  for (const double rate : {5.0, 15.0, 30.0, 45.0}) {
    SCOPED_TRACE(rate);
    const StepReport report = fleet->run(kWorkload, {.rate = rate, .requests = 400});
    ASSERT_EQ(report.ttft_errors.size(), 400U) << "all were predicted";
    ASSERT_EQ(report.tpot_errors.size(), 400U);
    EXPECT_LT(mean(report.ttft_errors), 0.15);
    EXPECT_LT(mean(report.tpot_errors), 0.15);
  }
}

}  // namespace
}  // namespace llmd::engine::fleet
