// Explanations hold all that a decision depended on.
#include "picker/replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "json/path.h"
#include "picker/picker.h"

namespace llmd::picker {
namespace {

constexpr std::string_view kConfig = R"(apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: prefix-cache-scorer
- type: no-hit-lru-scorer
- type: lora-affinity-scorer
- type: session-affinity-scorer
- type: prefill-filter
- type: decode-filter
- type: weighted-random-picker
- type: prefix-based-pd-decider
  parameters: {nonCachedTokens: 200}
- type: disagg-profile-handler
  parameters: {deciders: {prefill: prefix-based-pd-decider}}
schedulingProfiles:
- name: prefill
  plugins: [{pluginRef: prefill-filter}, {pluginRef: queue-scorer, weight: 2}, {pluginRef: prefix-cache-scorer, weight: 3}]
- name: decode
  plugins: [{pluginRef: decode-filter}, {pluginRef: queue-scorer}, {pluginRef: kv-cache-utilization-scorer}, {pluginRef: prefix-cache-scorer, weight: 3}, {pluginRef: no-hit-lru-scorer}, {pluginRef: lora-affinity-scorer}, {pluginRef: session-affinity-scorer, weight: 2}, {pluginRef: weighted-random-picker}]
)";

struct Headers {
  std::string token;
  std::optional<std::string_view> find(std::string_view name) const {
    return name == "x-session-token" && !token.empty() ? std::optional<std::string_view>(token)
                                                       : std::nullopt;
  }
};

// A thousand requests of a random world: numbers, prompts, sessions, endpoints that come and go.
std::unique_ptr<Picker> random_history(std::string_view config, int requests) {
  auto picker = Picker::from_config(config, "a.yaml").value();
  std::mt19937 random(42);
  const auto below = [&](unsigned n) { return random() % n; };
  std::vector<Decision> running;
  for (int i = 0; i < requests; ++i) {
    if (i % 100 == 0) {
      std::vector<Endpoint> endpoints;
      for (unsigned e = 0; e < 6 + below(10); ++e) {
        endpoints.push_back({.address = {"10.0.0." + std::to_string(e), 8000},
                             .name = "e" + std::to_string(e),
                             .labels = {{"llm-d.ai/role", e % 3 == 0 ? "prefill" : "decode"}}});
      }
      picker->update(endpoints);
    }
    const auto endpoints = picker->endpoints()->endpoints;
    const TimePoint at = std::chrono::steady_clock::now() - std::chrono::seconds(below(6));
    endpoints[below(static_cast<unsigned>(endpoints.size()))]->report(
        {.waiting = static_cast<float>(below(20)),
         .running = static_cast<float>(below(50)),
         .kv_usage = static_cast<float>(below(1000)) / 1000,
         .adapters = Adapters{{"a" + std::to_string(below(3))}, {}, 2}},
        at);
    std::vector<std::uint64_t> units(1 + below(120));
    const std::uint64_t group = below(8);
    for (std::size_t u = 0; u < units.size(); ++u) {
      units[u] = u * 1000 + group;
    }
    const std::string id = "request-" + std::to_string(i);
    const std::string model = "a" + std::to_string(below(4));
    const Headers headers{below(3) == 0 ? endpoints.front()->session_token : ""};
    auto decision = picker->pick({.id = id,
                                  .model = model,
                                  .headers = headers,
                                  .prompt_bytes = units.size() * 64,
                                  .prompt_units = units});
    if (decision && below(2) == 0) {
      running.push_back(std::move(*decision));
    }
    if (running.size() > 30) {
      running.erase(running.begin());
    }
  }
  return picker;
}

TEST(ReplayTest, RecomputesAThousandRandomDecisionsFromTheirExplanations) {
  const std::string exported = random_history(kConfig, 1000)->export_explanations();
  const auto report = replay(exported);
  ASSERT_TRUE(report) << report.error().text();
  EXPECT_EQ(report->decisions.size(), 1000);
  EXPECT_EQ(report->different, 0) << json::write_pretty(report->to_json());
  EXPECT_GT(
      std::ranges::count_if(report->decisions, [](const auto& one) { return !one.then_prefill.empty(); }),
      50);
}

TEST(ReplayTest, SaysWhatAnotherConfigurationWouldHaveDone) {
  const std::string exported = random_history("", 300)->export_explanations();
  const auto same = replay(exported, "plugins: [{type: queue-scorer}, {type: prefix-cache-scorer}]\n");
  ASSERT_TRUE(same) << same.error().text();
  EXPECT_GT(same->different, 0);
  EXPECT_GT(same->same, 0);
  const auto unknown = replay(exported, "plugins: [{type: latency-scorer}]\n").value();
  EXPECT_THAT(unknown.missing, testing::Not(testing::Contains("prefix/approx-prefix-cache-producer/total")));
}

TEST(ReplayTest, RefusesOtherFiles) {
  EXPECT_FALSE(replay("{}"));
  EXPECT_FALSE(replay("nonsense"));
  EXPECT_FALSE(
      replay(R"({"format":"llmd-explanations/1","config":"plugins: []","decisions":[{"snapshot":9}]})"));
}

TEST(ExplainTest, ADecisionTellsWhoWasWhereAndWhy) {
  auto picker = Picker::from_config(kConfig, "a.yaml").value();
  picker->update({{.address = {"10.0.0.1", 1}, .name = "p", .labels = {{"llm-d.ai/role", "prefill"}}},
                  {.address = {"10.0.0.2", 1}, .name = "d"}});
  ASSERT_TRUE(picker->pick({.id = "abc", .model = "m"}));
  const json::Value told = picker->explain("abc");
  EXPECT_EQ(json::int_at(told, "candidates"), 2);
  EXPECT_EQ(json::string_at(told, "chosen"), "10.0.0.2:1");
  EXPECT_EQ(json::string_at(told, "profiles[0].filters[0].filter"), "decode-filter");
  EXPECT_EQ(json::int_at(told, "profiles[0].filters[0].left"), 1);
  EXPECT_EQ(json::double_at(told, "profiles[0].endpoints[0].scores.queue-scorer"), 1);
  EXPECT_TRUE(picker->explain("unknown").is_null());
}

TEST(ExplainTest, RemembersTheLastOnes) {
  auto picker = Picker::from_config("", "a.yaml", {.explanations = 10}).value();
  picker->update({{.address = {"10.0.0.1", 1}, .name = "a"}});
  for (int i = 0; i < 25; ++i) {
    const std::string id = std::to_string(i);
    ASSERT_TRUE(picker->pick({.id = id}));
  }
  const json::Value last = picker->explain_last(100);
  ASSERT_EQ(last.get_array().size(), 10);
  EXPECT_EQ(json::string_at(last, "[0].request.id"), "24");
  EXPECT_TRUE(picker->explain("3").is_null());
}

}  // namespace
}  // namespace llmd::picker
