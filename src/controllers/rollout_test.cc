#include "controllers/rollout.h"

#include <gtest/gtest.h>
#include <boost/json/parse.hpp>

#include "controllers/deployment_status.h"
#include "controllers/placement.h"
#include "controllers/slices.h"

namespace llmd::controllers {
namespace {

kube::Object object(std::string_view text) {
  return boost::json::parse(std::string(text)).as_object();
}

struct StepCase {
  const char* name;
  std::int64_t wanted;
  RolloutLimits limits;
  SetSize fresh;
  std::vector<SetSize> outdated;
  std::int64_t fresh_next;
  std::vector<std::int64_t> outdated_next;
};
class Step : public testing::TestWithParam<StepCase> {};

TEST_P(Step, MovesAsFarAsTheLimitsAllow) {
  const StepCase& c = GetParam();
  const RolloutStep step = next_rollout_step(c.wanted, c.limits, c.fresh, c.outdated);
  EXPECT_EQ(step.fresh, c.fresh_next);
  EXPECT_EQ(step.outdated, c.outdated_next);
}

INSTANTIATE_TEST_SUITE_P(
    Rules, Step,
    testing::Values(StepCase{"AFirstRolloutStartsAllPods", 3, {1, 0}, {0, 0}, {}, 3, {}},
                    StepCase{"ANewSetGrowsByTheSurge", 3, {1, 0}, {0, 0}, {{3, 3}}, 1, {3}},
                    StepCase{"AnOldSetShrinksWhenANewPodAnswers", 3, {1, 0}, {1, 1}, {{3, 3}}, 1, {2}},
                    StepCase{"WithoutSurgeTheOldSetGoesFirst", 3, {0, 1}, {0, 0}, {{3, 3}}, 0, {2}},
                    StepCase{"PodsThatServeNobodyGoAtOnce", 3, {1, 0}, {1, 0}, {{3, 0}}, 1, {3}},
                    StepCase{"UnavailableOldPodsGoWithinTheBudget", 4, {1, 1}, {1, 1}, {{4, 2}}, 1, {2}},
                    StepCase{"FewerWantedShrinksTheNewSet", 1, {1, 0}, {3, 3}, {}, 1, {}},
                    StepCase{"AFinishedRolloutStays", 2, {1, 0}, {2, 2}, {{0, 0}}, 2, {0}}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(RolloutLimits, RoundSurgeUpAndUnavailabilityDown) {
  const auto limits = rollout_limits(object(
      R"({"spec":{"replicas":5,"strategy":{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"}}}})"));
  EXPECT_EQ(limits.surge, 2);
  EXPECT_EQ(limits.unavailable, 1);
}

TEST(RolloutLimits, NeverStandStill) {
  const auto limits = rollout_limits(object(
      R"({"spec":{"replicas":1,"strategy":{"rollingUpdate":{"maxSurge":0,"maxUnavailable":"25%"}}}})"));
  EXPECT_EQ(limits.unavailable, 1);
}

TEST(TemplateHash, DependsOnContentAndNotOnOrder) {
  const auto a = object(R"({"spec":{"x":1,"y":2}})");
  const auto b = object(R"({"spec":{"y":2,"x":1}})");
  EXPECT_EQ(template_hash(a, 0), template_hash(b, 0));
  EXPECT_NE(template_hash(a, 0), template_hash(a, 1));
  EXPECT_EQ(template_hash(a, 0).size(), 10U);
}

TEST(Slices, FollowNamedPortsIntoEveryPod) {
  const auto service =
      object(R"({"metadata":{"name":"s","namespace":"n","uid":"u"},"kind":"Service","apiVersion":"v1",
    "spec":{"selector":{"a":"b"},"ports":[{"name":"http","port":80,"targetPort":"web","protocol":"TCP"}]}})");
  const auto pod = [](const char* name, int port, const char* ready) {
    return object(fmt::format(
        R"({{"metadata":{{"name":"{0}","labels":{{"a":"b"}}}},"spec":{{"containers":[{{"name":"m",
             "ports":[{{"name":"web","containerPort":{1}}}]}}]}},"status":{{"podIP":"127.0.0.9",
             "conditions":[{{"type":"Ready","status":"{2}"}}]}}}})",
        name, port, ready));
  };
  const auto first = pod("p1", 8000, "True");
  const auto second = pod("p2", 9000, "False");
  EXPECT_TRUE(selects(service, first));
  const auto slices = slices_of(service, {&first, &second});
  ASSERT_EQ(slices.size(), 2U);
  EXPECT_EQ(slices[0].at("ports").at(0).at("port").as_int64(), 8000);
  EXPECT_TRUE(slices[0].at("endpoints").at(0).at("conditions").at("ready").as_bool());
  EXPECT_EQ(slices[1].at("ports").at(0).at("port").as_int64(), 9000);
  EXPECT_FALSE(slices[1].at("endpoints").at(0).at("conditions").at("ready").as_bool());
}

TEST(Placement, SaysWhatIsMissing) {
  const auto node = object(R"({"metadata":{"name":"n"},"status":{"allocatable":{"nvidia.com/gpu":"1"},
    "conditions":[{"type":"Ready","status":"True"}]}})");
  const auto pod = [](const char* node_name, int gpus) {
    return object(
        fmt::format(R"({{"metadata":{{"name":"p"}},"spec":{{"nodeName":"{}","containers":[{{"name":"m",
      "resources":{{"requests":{{"nvidia.com/gpu":"{}","cpu":"64"}}}}}}]}}}})",
                    node_name, gpus));
  };
  EXPECT_EQ(place(pod("", 1), {&node}, {}).node, "n");
  EXPECT_EQ(place(pod("", 2), {&node}, {}).reason, "0/1 nodes are available: 1 Insufficient nvidia.com/gpu.");
  const auto running = pod("n", 1);
  EXPECT_EQ(place(pod("", 1), {&node}, {&running}).node, "");
  EXPECT_EQ(place(pod("", 0), {}, {}).reason, "no nodes available to schedule pods");
}

TEST(DeploymentStatus, SaysWhenTheDeadlinePassed) {
  auto deployment = object(
      R"({"metadata":{"name":"d","generation":1},"spec":{"replicas":1,"progressDeadlineSeconds":60}})");
  const auto set = object(R"({"metadata":{"name":"d-x"},"status":{"replicas":1}})");
  const auto start = *parse_rfc3339("2026-01-01T00:00:00Z");
  EXPECT_TRUE(fill_deployment_status(deployment, &set, {}, start));
  EXPECT_EQ(kube::find_string(*kube::find_condition(deployment, "Progressing"), "reason"),
            "ReplicaSetUpdated");
  fill_deployment_status(deployment, &set, {}, start + std::chrono::seconds(61));
  EXPECT_EQ(kube::find_string(*kube::find_condition(deployment, "Progressing"), "reason"),
            "ProgressDeadlineExceeded");
  EXPECT_EQ(kube::find_string(*kube::find_condition(deployment, "Available"), "status"), "False");
}

}  // namespace
}  // namespace llmd::controllers
