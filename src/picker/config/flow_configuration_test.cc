// The section flowControl: quantities, budgets, bands, and what is said of mistakes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "picker/picker.h"
#include "picker/plan.h"

namespace llmd::picker {
namespace {

using std::chrono::seconds;
using testing::Contains;
using testing::HasSubstr;

Result<Configuration> parse(std::string_view flow) {
  return parse_configuration(fmt::format("featureGates: [flowControl]\nplugins: []\nflowControl: {}\n", flow),
                             "x.yaml");
}
FlowEntry flow_of(std::string_view flow) {
  auto parsed = parse(flow);
  EXPECT_TRUE(parsed) << parsed.error().text();
  return parsed->flow;
}

TEST(FlowConfiguration, LeftOutItHasLimitsForBandsAndAMinuteOfPatience) {
  const FlowEntry flow = flow_of("{}");
  EXPECT_EQ(flow.max_bytes, 0);
  EXPECT_EQ(flow.max_requests, 0);
  EXPECT_EQ(flow.request_ttl, seconds(60));
  EXPECT_FALSE(flow.no_endpoint_ttl);
  EXPECT_EQ(flow.default_band.max_bytes, 1'000'000'000);
  EXPECT_EQ(flow.default_band.max_requests, 5000);
  EXPECT_EQ(flow.default_band.fairness, "global-strict-fairness-policy");
  EXPECT_EQ(flow.default_band.ordering, "fcfs-ordering-policy");
  EXPECT_EQ(flow.usage_limit, "static-usage-limit-policy");
  EXPECT_FALSE(flow.eviction);
}

TEST(FlowConfiguration, QuantitiesAreThoseOfKubernetes) {
  const std::pair<const char*, std::int64_t> rows[] = {{"500", 500},
                                                       {"\"500\"", 500},
                                                       {"1k", 1000},
                                                       {"\"1Ki\"", 1024},
                                                       {"1M", 1'000'000},
                                                       {"2Mi", 2 << 20},
                                                       {"1G", 1'000'000'000},
                                                       {"1Gi", 1 << 30},
                                                       {"1.5Ki", 1536},
                                                       {"\"1e3\"", 1000},
                                                       {"1T", 1'000'000'000'000},
                                                       {"\"10Gi\"", std::int64_t{10} << 30},
                                                       {"1Pi", std::int64_t{1} << 50}};
  for (const auto& [text, value] : rows) {
    EXPECT_EQ(flow_of(fmt::format("{{maxBytes: {}}}", text)).max_bytes, value) << text;
    EXPECT_EQ(flow_of(fmt::format("{{maxRequests: {}}}", text)).max_requests, value) << text;
  }
}

TEST(FlowConfiguration, ABandWithoutLimitsOrWithZeroIsLimitedAllTheSame) {
  const FlowEntry flow = flow_of(
      "{priorityBands: [{priority: 7}, {priority: -3, maxBytes: 0, maxRequests: 0}, {priority: 0, maxBytes: "
      "5Gi, maxRequests: 1k, fairnessPolicyRef: round-robin-fairness-policy, orderingPolicyRef: "
      "edf-ordering-policy}]}");
  ASSERT_EQ(flow.bands.size(), 3);
  for (const int i : {0, 1}) {
    EXPECT_EQ(flow.bands[static_cast<std::size_t>(i)].max_bytes, 1'000'000'000);
    EXPECT_EQ(flow.bands[static_cast<std::size_t>(i)].max_requests, 5000);
  }
  EXPECT_EQ(flow.bands[1].priority, -3);
  EXPECT_EQ(flow.bands[2].max_bytes, std::int64_t{5} << 30);
  EXPECT_EQ(flow.bands[2].max_requests, 1000);
  EXPECT_EQ(flow.bands[2].fairness, "round-robin-fairness-policy");
  EXPECT_EQ(flow.bands[2].ordering, "edf-ordering-policy");
}

TEST(FlowConfiguration, PrioritiesBelowZeroMayHaveATemplateOfTheirOwn) {
  const FlowEntry flow =
      flow_of("{defaultPriorityBand: {maxRequests: 10}, defaultNegativePriorityBand: {maxRequests: 2}}");
  EXPECT_EQ(flow.default_band.max_requests, 10);
  EXPECT_EQ(flow.default_negative_band.value().max_requests, 2);
  EXPECT_FALSE(flow_of("{defaultPriorityBand: {maxRequests: 10}}").default_negative_band);
}

TEST(FlowConfiguration, TimesAreThoseOfGoAndZeroMeansNone) {
  EXPECT_EQ(flow_of("{defaultRequestTTL: 1m30s}").request_ttl, seconds(90));
  EXPECT_EQ(flow_of("{defaultRequestTTL: 0s}").request_ttl, Duration::zero());
  EXPECT_EQ(flow_of("{noEndpointRequestTTL: 5m}").no_endpoint_ttl, seconds(300));
  EXPECT_EQ(flow_of("{noEndpointRequestTTL: 0s}").no_endpoint_ttl, Duration::zero());
}

TEST(FlowConfiguration, WithoutTheGateTheSectionOnlyWarns) {
  for (const char* gates : {"[]", "[flowControl=false]"}) {
    const auto parsed = parse_configuration(
        fmt::format("featureGates: {}\nplugins: []\nflowControl: {{maxRequests: 1}}\n", gates), "x.yaml");
    ASSERT_TRUE(parsed);
    EXPECT_THAT(
        parsed->warnings,
        Contains(HasSubstr("x.yaml:3:1: flowControl has no effect without the feature gate 'flowControl'")));
  }
  EXPECT_TRUE(parse("{maxRequests: 1}")->warnings.empty());
}

struct Mistake {
  std::string_view flow;
  std::string_view said;
};
void PrintTo(const Mistake& mistake, std::ostream* out) {
  *out << mistake.said;
}

class WrongFlowConfigurations : public testing::TestWithParam<Mistake> {};

TEST_P(WrongFlowConfigurations, AreRefusedWithPlaceAndCause) {
  const auto picker = Picker::from_config(
      fmt::format("featureGates: [flowControl]\nplugins: [{{type: queue-scorer}}]\nflowControl: {}\n",
                  GetParam().flow),
      "x.yaml");
  ASSERT_FALSE(picker);
  EXPECT_THAT(picker.error().text(), HasSubstr(std::string(GetParam().said)));
}

INSTANTIATE_TEST_SUITE_P(
    Table, WrongFlowConfigurations,
    testing::Values(
        Mistake{"{maxBytes: -1}", "x.yaml:3:15: flowControl.maxBytes: must not be negative"},
        Mistake{"{maxRequests: -1}", "flowControl.maxRequests: must not be negative"},
        Mistake{"{maxRequests: '-5'}", "flowControl.maxRequests: must not be negative"},
        Mistake{"{maxBytes: lots}", "flowControl.maxBytes: \"lots\" is not a quantity"},
        Mistake{"{maxBytes: 5Gb}", "flowControl.maxBytes: \"5Gb\" is not a quantity"},
        Mistake{"{maxBytes: [1]}", "flowControl.maxBytes: expected a quantity"},
        Mistake{"{defaultRequestTTL: -1s}", "flowControl.defaultRequestTTL: '-1s' is not a duration"},
        Mistake{"{noEndpointRequestTTL: -1s}", "flowControl.noEndpointRequestTTL: '-1s' is not a duration"},
        Mistake{"{defaultRequestTTL: soon}", "flowControl.defaultRequestTTL"},
        Mistake{"{maxByte: 1}", "flowControl.maxByte: unknown field (did you mean 'maxBytes'?)"},
        Mistake{"{priorityBands: [{maxBytes: 1}]}", "flowControl.priorityBands[0].priority: is required"},
        Mistake{"{priorityBands: [{priority: high}]}", "priority: expected an integer, got a string"},
        Mistake{"{priorityBands: [{priority: 1}, {priority: 1}]}", "priority: 1 is given twice"},
        Mistake{"{priorityBands: [{priority: 1, maxBytes: -1}]}", "maxBytes: must not be negative"},
        Mistake{"{priorityBands: [{priority: 1, maxRequests: -1}]}", "maxRequests: must not be negative"},
        Mistake{"{priorityBands: {priority: 1}}", "flowControl.priorityBands: expected a list"},
        Mistake{"{defaultPriorityBand: {maxRequests: -1}}", "maxRequests: must not be negative"},
        Mistake{"{priorityBands: [{priority: 1, fairnessPolicyRef: fair}]}",
                "flowControl.priorityBands[0].fairnessPolicyRef: the plugin 'fair' is not defined"},
        Mistake{"{priorityBands: [{priority: 1, orderingPolicyRef: queue-scorer}]}",
                "flowControl.priorityBands[0].orderingPolicyRef: the plugin 'queue-scorer' is no ordering "
                "policy"},
        Mistake{"{defaultPriorityBand: {fairnessPolicyRef: queue-scorer}}",
                "flowControl.defaultPriorityBand.fairnessPolicyRef: the plugin 'queue-scorer' is no fairness "
                "policy"},
        Mistake{
            "{defaultNegativePriorityBand: {orderingPolicyRef: none}}",
            "flowControl.defaultNegativePriorityBand.orderingPolicyRef: the plugin 'none' is not defined"},
        Mistake{"{usageLimitPolicyPluginRef: queue-scorer}",
                "flowControl.usageLimitPolicyPluginRef: the plugin 'queue-scorer' is no usage limit policy"},
        Mistake{"{usageLimitPolicyPluginRef: mine}",
                "flowControl.usageLimitPolicyPluginRef: the plugin 'mine' is not defined"},
        Mistake{"{saturationDetector: {pluginRef: mine}}", "the plugin 'mine' is not defined"},
        Mistake{"{saturationDetector: {pluginRef: queue-scorer}}",
                "the plugin 'queue-scorer' is no saturation detector"},
        Mistake{"{enableEviction: perhaps}", "flowControl.enableEviction: expected a boolean"}));

}  // namespace
}  // namespace llmd::picker
