// Endpoints, their numbers and the requests on them, all changing at the same time.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "picker/picker.h"
#include "picker/plan.h"

namespace llmd::picker {
namespace {

constexpr std::string_view kReadsEverything = R"(plugins:
- type: queue-scorer
- type: kv-cache-utilization-scorer
- type: lora-affinity-scorer
- type: prefix-cache-scorer
- type: model-owner-filter
- {type: label-selector-filter, parameters: {matchExpressions: [{key: tier, operator: In, values: [gold, silver]}]}}
- {type: header-label-affinity-scorer, parameters: {headerName: x-tier, labelKey: tier}}
- {type: core-metrics-extractor, parameters: {customMetrics: [{attributeKey: depth, metricSpec: depth}]}}
- {type: endpoint-attribute-scorer, parameters: {attributeKey: depth, algorithm: {type: linear_lower_is_better}}}
)";

// Every second one is known by its UID; all change their labels from round to round.
std::vector<Endpoint> endpoints(int first, int count, int round = 0) {
  std::vector<Endpoint> all;
  for (int i = first; i < first + count; ++i) {
    all.push_back({.address = {"10.0.0." + std::to_string(i), 8000},
                   .name = "e" + std::to_string(i),
                   .labels = {{"tier", round % 3 == 0 ? "gold" : "silver"}},
                   .uid = i % 2 == 0 ? "" : "u" + std::to_string(i)});
  }
  return all;
}

// One thread lists endpoints, one scrapes them, two send requests.
TEST(EndpointChanges, OfEveryKindMayHappenAtOnceAndNothingIsLeftBehind) {
  auto picker =
      Picker::from_config(kReadsEverything, "x", {.load = {.allow_experimental = true, .seed = 5}}).value();
  picker->update(endpoints(0, 8));
  std::vector<EndpointPtr> ever = picker->endpoints()->endpoints;
  std::atomic<bool> over = false;
  std::atomic<int> picked = 0;
  std::thread scraper([&] {
    for (int i = 0; !over; ++i) {
      for (const EndpointPtr& endpoint : picker->endpoints()->endpoints) {
        EngineReport report{.waiting = static_cast<float>(i % 7), .running = 1, .kv_usage = 0.5F};
        report.adapters = Adapters{{"a" + std::to_string(i % 3)}, {}, 4};
        report.custom[0] = static_cast<float>(i % 5);
        endpoint->report(report, std::chrono::steady_clock::now());
        endpoint->list_models({{"m", "owner", ""}});
        endpoint->connected(i % 2 == 0);
      }
    }
  });
  std::vector<std::thread> clients;
  for (int client = 0; client < 2; ++client) {
    clients.emplace_back([&] {
      while (!over) {
        const auto decision = picker->pick({.id = "r", .model = "m", .prompt_bytes = 4000});
        ASSERT_TRUE(decision || decision.error().status == 503) << decision.error().message;
        picked += decision ? 1 : 0;
      }
    });
  }
  for (int round = 0; round < 300 || picked < 1000; ++round) {
    picker->update(endpoints(round % 5, round % 11, round));
    const auto now = picker->endpoints()->endpoints;
    ever.insert(ever.end(), now.begin(), now.end());
  }
  over = true;
  scraper.join();
  for (std::thread& client : clients) {
    client.join();
  }
  for (const EndpointPtr& endpoint : ever) {
    EXPECT_EQ(endpoint->running(), 0) << endpoint->full_name;
  }
}

}  // namespace
}  // namespace llmd::picker
