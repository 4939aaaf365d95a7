// Priorities and model rewrites, as their objects say.
#include "extproc/rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace llmd::extproc {
namespace {

using testing::HasSubstr;

std::string rewrite(std::string_view name, std::string_view created, std::string_view rules) {
  return fmt::format(
      "---\napiVersion: llm-d.ai/v1alpha2\nkind: InferenceModelRewrite\n"
      "metadata: {{name: {}, creationTimestamp: '{}'}}\nspec:\n  poolRef: {{name: pool}}\n  rules: {}\n",
      name, created, rules);
}

std::shared_ptr<const Rules> read(std::string_view text, std::string_view pool = "pool") {
  const auto objects = parse_rule_objects(text, "o.yaml");
  EXPECT_TRUE(objects) << objects.error().text();
  return rules_of(objects.value_or(std::vector<RuleObject>()), pool);
}

std::string target(const Rules& rules, std::string_view model, double draw = 0) {
  const auto match = rules.rewrites.find(model, draw);
  return match ? std::string(match->target) : "-";
}

constexpr std::string_view kOld = "2025-01-01T00:00:00Z";
constexpr std::string_view kNew = "2026-01-01T00:00:00Z";

TEST(ModelRewritesTest, AnExactMatchBeatsAGenericOneAndTheOldestObjectWins) {
  const auto rules =
      read(rewrite("generic", kOld, "[{targets: [{modelRewrite: any}]}]") +
           rewrite("young", kNew, "[{matches: [{model: {value: m}}], targets: [{modelRewrite: young}]}]") +
           rewrite("old", kOld,
                   "[{matches: [{model: {type: Exact, value: m}}, {model: {value: m2}}], targets: "
                   "[{modelRewrite: old}]},"
                   " {matches: [{model: {value: m}}], targets: [{modelRewrite: second rule}]}]"));
  EXPECT_EQ(target(*rules, "m"), "old");
  EXPECT_EQ(target(*rules, "m2"), "old") << "a rule may name several models";
  EXPECT_EQ(target(*rules, "other"), "any");
  EXPECT_EQ(rules->rewrites.find("m", 0)->rewrite, "old");
}

TEST(ModelRewritesTest, ObjectsOfTheSameAgeGoByName) {
  const auto rules = read(rewrite("b", kOld, "[{targets: [{modelRewrite: b}]}]") +
                          rewrite("a", kOld, "[{targets: [{modelRewrite: a}]}]"));
  EXPECT_EQ(target(*rules, "m"), "a");
}

TEST(ModelRewritesTest, NothingMatchesNothing) {
  const auto rules =
      read(rewrite("r", kOld, "[{matches: [{model: {value: m}}], targets: [{modelRewrite: t}]}]"));
  EXPECT_EQ(target(*rules, "x"), "-");
  EXPECT_EQ(target(*read(""), "m"), "-");
  EXPECT_EQ(target(*read(rewrite("r", kOld, "[{targets: [{modelRewrite: t}]}]"), "another pool"), "m"), "-");
}

TEST(ModelRewritesTest, TargetsAreDrawnByWeight) {
  const auto rules =
      read(rewrite("r", kOld, "[{targets: [{modelRewrite: a, weight: 70}, {modelRewrite: b, weight: 30}]}]"));
  EXPECT_EQ(target(*rules, "m", 0), "a");
  EXPECT_EQ(target(*rules, "m", 0.699), "a");
  EXPECT_EQ(target(*rules, "m", 0.701), "b");
  EXPECT_EQ(target(*rules, "m", 0.9999999), "b");
}

TEST(ModelRewritesTest, WeightsOfZeroMeanEachAlike) {
  const auto rules =
      read(rewrite("r", kOld, "[{targets: [{modelRewrite: a, weight: 0}, {modelRewrite: b, weight: 0}]}]"));
  EXPECT_EQ(target(*rules, "m", 0.49), "a");
  EXPECT_EQ(target(*rules, "m", 0.51), "b");
}

TEST(RulesTest, ObjectivesGivePrioritiesOfTheirPool) {
  constexpr std::string_view kObjective =
      "---\napiVersion: {}\nkind: InferenceObjective\nmetadata: {{name: {}}}\nspec: {}\n";
  const auto rules =
      read(fmt::format(kObjective, "llm-d.ai/v1alpha2", "batch", "{priority: -1, poolRef: {name: pool}}") +
           fmt::format(kObjective, "inference.networking.x-k8s.io/v1alpha2", "usual", "{}") +
           fmt::format(kObjective, "llm-d.ai/v1alpha2", "foreign", "{priority: 9, poolRef: {name: other}}"));
  EXPECT_EQ(rules->priorities, (Priorities{{"batch", -1}, {"usual", 0}}));
}

TEST(RulesTest, MistakesAreNamed) {
  const std::pair<std::string, const char*> rows[] = {
      {"apiVersion: v1\nkind: Pod\n", "apiVersion: expected llm-d.ai/v1alpha2"},
      {"apiVersion: llm-d.ai/v1alpha2\nkind: InferenceObjective\n", "metadata.name: is missing"},
      {"apiVersion: llm-d.ai/v1alpha2\nkind: X\nmetadata: {name: x}\n", "kind: expected InferenceObjective"},
      {rewrite("r", kOld, "[{}]"), "spec.rules[0]: targets: is missing"},
      {rewrite("r", kOld, "[{targets: [{weight: 1}]}]"), "targets[0]: modelRewrite: is missing"},
      {rewrite("r", kOld, "[{targets: [{modelRewrite: a, weight: -1}]}]"), "weight: must be from 0"},
      {rewrite("r", kOld, "[{matches: [{model: {type: Regex, value: a}}], targets: [{modelRewrite: a}]}]"),
       "matches[0].model: needs a value, and the type Exact"},
  };
  for (const auto& [text, message] : rows) {
    const auto objects = parse_rule_objects(text, "o.yaml");
    ASSERT_FALSE(objects) << text;
    EXPECT_THAT(objects.error().text(), HasSubstr(message));
    EXPECT_THAT(objects.error().text(), HasSubstr("o.yaml:"));
  }
}

}  // namespace
}  // namespace llmd::extproc
