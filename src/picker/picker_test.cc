#include "picker/picker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "json/path.h"
#include "metrics/registry.h"

namespace llmd::picker {
namespace {

std::vector<Endpoint> pods(std::initializer_list<std::string> names) {
  std::vector<Endpoint> made;
  for (const std::string& name : names) {
    made.push_back({.address = {name + ".example", 8000}, .name = name, .labels = {}});
  }
  return made;
}

TEST(PickerTest, TakesTheEndpointWithTheFewestRequests) {
  Picker picker;
  picker.update(pods({"a", "b", "c"}));
  std::vector<Decision> held;
  std::map<std::string, int> chosen;
  for (int i = 0; i < 9; ++i) {
    held.push_back(picker.pick({}).value());
    ++chosen[held.back().endpoint().name];
  }
  EXPECT_THAT(chosen,
              testing::ElementsAre(testing::Pair("a", 3), testing::Pair("b", 3), testing::Pair("c", 3)));
  held.erase(held.begin());
  const std::string freed = picker.pick({}).value().endpoint().name;
  EXPECT_EQ(picker.endpoints()->running(), 8);
  EXPECT_THAT(picker.pick({}).value().explanation(),
              testing::HasSubstr(freed + " (" + freed + ".example:8000)"));
}

TEST(PickerTest, SpreadsRequestsThatAreOverAtOnce) {
  Picker picker;
  picker.update(pods({"a", "b"}));
  std::map<std::string, int> chosen;
  for (int i = 0; i < 10; ++i) {
    ++chosen[picker.pick({}).value().endpoint().name];
  }
  EXPECT_EQ(chosen["a"], 5);
}

TEST(PickerTest, LeavesOutWhatHasFailed) {
  Picker picker;
  picker.update(pods({"a", "b"}));
  const auto failed = picker.pick({}).value().lease.endpoint();
  for (int i = 0; i < 4; ++i) {
    EXPECT_NE(picker.pick({}, {{failed}}).value().endpoint().name, failed->endpoint.name);
  }
  const auto all = picker.endpoints()->endpoints;
  const auto none = picker.pick({}, all);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().status, 503);
  EXPECT_THAT(none.error().message, testing::HasSubstr("all 2 endpoints have failed"));
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

TEST(PickerTest, LeavesOutWhatRefusesConnectionsUnlessAllDo) {
  struct Case {
    std::vector<std::string> refusing;
    std::vector<std::string> excluded;
    std::set<std::string> chosen;
    std::size_t left_out;
  };
  for (const Case& one : {Case{{}, {}, {"a", "b", "c"}, 0}, Case{{"b"}, {}, {"a", "c"}, 1},
                          Case{{"a", "c"}, {}, {"b"}, 2}, Case{{"a", "b", "c"}, {}, {"a", "b", "c"}, 0},
                          Case{{"a", "b"}, {"c"}, {"a", "b"}, 0}, Case{{"a"}, {"c"}, {"b"}, 1}}) {
    metrics::Registry registry;
    auto picker = Picker::from_config("", "x", {.pool = "p", .metrics = &registry}).value();
    picker->update(pods({"a", "b", "c"}));
    std::vector<EndpointPtr> exclude;
    for (const EndpointPtr& each : picker->endpoints()->endpoints) {
      each->connected(!has(one.refusing, each->endpoint.name));
      if (has(one.excluded, each->endpoint.name)) {
        exclude.push_back(each);
      }
    }
    std::set<std::string> chosen;
    std::vector<Decision> held;
    for (int i = 0; i < 100; ++i) {
      held.push_back(picker->pick({.id = "r"}, exclude).value());
      chosen.insert(held.back().endpoint().name);
    }
    EXPECT_EQ(chosen, one.chosen);
    const json::Value told = picker->explain("r");
    const auto* left_out = json::array_at(told, "leftOut");
    ASSERT_EQ(left_out != nullptr ? left_out->size() : 0, one.left_out);
    if (left_out != nullptr) {
      EXPECT_EQ(json::string_at(told, "leftOut[0].reason"), "refuses connections");
      EXPECT_THAT(held.back().explanation(), testing::HasSubstr("left out: refuses connections"));
    }
    EXPECT_THAT(registry.write_text(), testing::HasSubstr("llmd_picker_refusing_endpoints{name=\"p\"} " +
                                                          std::to_string(one.refusing.size())));
    held.clear();
    for (const EndpointPtr& each : picker->endpoints()->endpoints) {
      each->connected(true);
    }
    EXPECT_EQ(picker->pick({}).value().candidates, 3) << "all of them are back";
    picker.reset();  // before the registry
  }
}

TEST(PickerTest, ASuspicionCountsOnlyWhereAScraperLooks) {
  Picker picker;
  picker.update(pods({"a", "b"}));
  const auto a = picker.endpoints()->endpoints.front();
  a->suspect();
  EXPECT_FALSE(a->unreachable()) << "nobody would ever find that it is back";
  a->connected(true);
  a->suspect();
  EXPECT_TRUE(a->unreachable());
  EXPECT_EQ(picker.pick({}).value().endpoint().name, "b");
  a->connected(true);
  EXPECT_FALSE(a->unreachable());
  EXPECT_EQ(a->contact_changes(), 0) << "a suspicion is no proof that it was away";
}

TEST(PickerTest, HasNothingWithoutEndpoints) {
  EXPECT_EQ(Picker().pick({}).error().error().kind, ErrorKind::Unavailable);
}

TEST(PickerTest, CountsSurviveAnUpdateOfTheList) {
  Picker picker;
  picker.update(pods({"a"}));
  auto decision = picker.pick({}).value();
  picker.update(pods({"b", "a"}));
  EXPECT_EQ(picker.endpoints()->running(), 1);
  EXPECT_EQ(picker.pick({}).value().endpoint().name, "b");
  picker.update({});
  decision.lease.release();
  decision.lease.release();
  EXPECT_EQ(picker.endpoints()->running(), 0);
}

TEST(LeaseTest, IsReleasedOnceWhereverItGoes) {
  const auto endpoint = std::make_shared<const EndpointState>(std::make_shared<const Endpoint>());
  {
    Lease first(endpoint);
    Lease second = std::move(first);
    EXPECT_FALSE(first);  // NOLINT: moved-from leases are empty
    EXPECT_EQ(endpoint->running(), 1);
    second = Lease(endpoint);
    EXPECT_EQ(endpoint->running(), 1);
  }
  EXPECT_EQ(endpoint->running(), 0);
}

TEST(PickerMetricsTest, DecisionsAndPoolsAppearUnderNewAndOldNames) {
  metrics::Registry registry;
  auto picker = Picker::from_config("", "x", {.pool = "p", .metrics = &registry}).value();
  EXPECT_EQ(picker->pick({.model = "m"}).error().status, 503);
  picker->update(pods({"a"}));
  picker->endpoints()->endpoints[0]->report({.waiting = 4, .kv_usage = 0.5F},
                                            std::chrono::steady_clock::now());
  ASSERT_TRUE(picker->pick({.model = "m"}));
  const std::string page = registry.write_text();
  for (const char* line :
       {"llm_d_epp_scheduler_e2e_duration_seconds_count 2",
        "inference_extension_scheduler_e2e_duration_seconds_count 2",
        R"(status="success",target_model_name="m",endpoint_name="a",namespace="default",port="8000"} 1)",
        R"(inference_extension_scheduler_attempts_total{status="failure",target_model_name="m")",
        R"(inference_pool_average_queue_size{name="p"} 4)",
        R"(llm_d_epp_average_kv_cache_utilization{name="p"} 0.5)",
        R"(llm_d_epp_ready_endpoints{name="p"} 1)"}) {
    EXPECT_THAT(page, testing::HasSubstr(line));
  }
  picker.reset();
  EXPECT_THAT(registry.write_text(), testing::Not(testing::HasSubstr("name=\"p\"")));
}

}  // namespace
}  // namespace llmd::picker
