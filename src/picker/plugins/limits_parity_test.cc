// Ceilings at the edges, as llm-d's own tests state the rules of usage limits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "picker/plan.h"
#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

Result<std::shared_ptr<const Plan>> limited_by(std::string_view plugin) {
  const std::string text = "featureGates: [flowControl]\nplugins: [{name: limit, " + std::string(plugin) +
                           "}]\nflowControl: {usageLimitPolicyPluginRef: limit}\n";
  const LoadOptions load{.allow_experimental = true};
  LLMD_TRY(auto configuration, parse_configuration(text, "limits", load));
  return build_plan(std::move(configuration), {.load = load});
}

std::vector<double> ceilings(const Plan& plan, std::vector<int> priorities, double saturation = 0.5) {
  std::vector<double> found(priorities.size(), -1);
  plan.usage_limit->ceilings(priorities, saturation, found);
  return found;
}

TEST(PriorityHoldback, ByValueFollowsTheDistances) {
  const auto plan =
      limited_by("type: priority-holdback-policy, parameters: {domain: value, minCeiling: 0.5}").value();
  EXPECT_THAT(ceilings(*plan, {100, 0}), are({1, 0.5}));
  EXPECT_THAT(ceilings(*plan, {100, 90, 0}), are({1, 0.95, 0.5}));
  EXPECT_THAT(ceilings(*plan, {0, -10, -100}), are({1, 0.95, 0.5}));
  EXPECT_THAT(ceilings(*plan, {7}), are({1}));
  EXPECT_THAT(ceilings(*plan, {2'000'000'000, -2'000'000'000}), are({1, 0.5}));
}

TEST(PriorityHoldback, NeverGivesALowerPriorityMore) {
  for (const char* domain : {"rank", "value"}) {
    const auto plan =
        limited_by(fmt::format("type: priority-holdback-policy, parameters: {{domain: {}, minCeiling: 0.1}}",
                               domain))
            .value();
    for (const std::vector<int>& priorities :
         {std::vector<int>{5, 5, 5}, {9, 3, 3, -2}, {1, 0}, {50, 40, 30, 20, 10, 0, -10}, {-1, -2, -3}}) {
      const auto found = ceilings(*plan, priorities);
      EXPECT_TRUE(std::ranges::is_sorted(found, std::greater<>())) << testing::PrintToString(found);
      EXPECT_GE(found.back(), 0.1 - 1e-9);
      EXPECT_LE(found.front(), 1);
    }
    EXPECT_THAT(ceilings(*plan, {}), testing::IsEmpty());
  }
}

TEST(PriorityHoldback, ParametersHaveBounds) {
  for (const char* wrong : {"{}", "{minCeiling: 1}", "{minCeiling: -0.1}",
                            "{minCeiling: 0.5, maxCeiling: 0.5}", "{minCeiling: 0.5, maxCeiling: 1.1}",
                            "{minCeiling: 0, maxCeiling: 0}", "{minCeiling: 0.5, shape: round}",
                            "{minCeiling: 0.5, domain: taste}", "{minCeiling: 0.5, more: 1}"}) {
    EXPECT_FALSE(limited_by("type: priority-holdback-policy, parameters: " + std::string(wrong))) << wrong;
  }
}

TEST(SoftReflectiveCeiling, OpensBandsByTurnsAndTheTopAlways) {
  struct Row {
    double saturation;
    std::vector<double> open;  // share of calls
  };
  for (const Row& row : {Row{0, {1, 1, 1}}, Row{0.49, {1, 1, 1}}, Row{0.5, {1, 1, 1}}, Row{0.62, {1, 1, 0.5}},
                         Row{0.8, {1, 0.25, 0.25}}, Row{1, {1, 0, 0}}, Row{3, {1, 0, 0}}}) {
    const auto plan = limited_by("type: soft-reflective-ceiling-policy").value();
    std::vector<double> sums(3);
    constexpr int kCalls = 120;
    for (int call = 0; call < kCalls; ++call) {
      const auto found = ceilings(*plan, {10, 0, -10}, row.saturation);
      for (std::size_t i = 0; i < 3; ++i) {
        sums[i] += found[i] / kCalls;
      }
    }
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(sums[i], row.open[i], 0.01) << row.saturation << " band " << i;
    }
  }
  EXPECT_FALSE(limited_by("type: soft-reflective-ceiling-policy, parameters: {period: 3}"));
}

}  // namespace
}  // namespace llmd::picker
