#include "controllers/rollout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "controllers/deployment.h"
#include "controllers/endpoint_slices.h"
#include "controllers/pod_facts.h"

namespace llmd::controllers {
namespace {

using ::testing::ElementsAre;

kube::Object object(std::string_view text) {
  return boost::json::parse(text).as_object();
}

TEST(Rollout, PercentagesRoundUpForTheSurgeAndDownForUnavailability) {
  const boost::json::value quarter("25%");
  EXPECT_EQ(scaled_limit(&quarter, 5, true), 2);
  EXPECT_EQ(scaled_limit(&quarter, 5, false), 1);
  EXPECT_EQ(scaled_limit(nullptr, 2, false), 0);
  const boost::json::value three(3);
  EXPECT_EQ(scaled_limit(&three, 5, false), 3);
}

TEST(Rollout, AFirstRolloutStartsAllReplicasAtOnce) {
  const auto plan = plan_rollout(3, {.max_surge = 1}, {}, {});
  EXPECT_EQ(plan.newest, 3);
}

TEST(Rollout, NoAvailablePodIsTakenAwayBeforeANewOneIsThere) {
  const std::vector<Generation> older{{.wanted = 2, .actual = 2, .available = 2}};
  const auto start = plan_rollout(2, {.max_surge = 1}, {}, older);
  EXPECT_EQ(start.newest, 1);
  EXPECT_THAT(start.older, ElementsAre(2));
  const auto next = plan_rollout(2, {.max_surge = 1}, {.wanted = 1, .actual = 1, .available = 1}, older);
  EXPECT_THAT(next.older, ElementsAre(1));
}

TEST(Rollout, BrokenOldPodsGoFirst) {
  const std::vector<Generation> older{{.wanted = 2, .actual = 2, .available = 0}};
  const auto plan = plan_rollout(2, {.max_surge = 1, .max_unavailable = 1},
                                 {.wanted = 1, .actual = 1, .available = 1}, older);
  EXPECT_LT(plan.older[0], 2);
}

TEST(Rollout, RecreateEndsTheOldBeforeItStartsTheNew) {
  const auto plan = plan_rollout(2, {.recreate = true}, {}, {{.wanted = 2, .actual = 2, .available = 2}});
  EXPECT_EQ(plan.newest, 0);
  EXPECT_THAT(plan.older, ElementsAre(0));
  EXPECT_EQ(plan_rollout(2, {.recreate = true}, {}, {{.wanted = 0, .actual = 0, .available = 0}}).newest, 2);
}

TEST(Rollout, EveryRolloutEndsWithAllPodsOfTheNewest) {
  for (int replicas = 0; replicas <= 7; ++replicas) {
    for (int surge = 0; surge <= 2; ++surge) {
      for (int unavailable = 0; unavailable <= 2; ++unavailable) {
        const auto limits = fenced({.max_surge = surge, .max_unavailable = unavailable});
        Generation newest;
        std::vector<Generation> older{{4, 4, 4}, {2, 2, 1}};
        for (int step = 0; step < 100; ++step) {
          const auto plan = plan_rollout(replicas, limits, newest, older);
          newest = {plan.newest, plan.newest, plan.newest};
          for (std::size_t i = 0; i < older.size(); ++i) {
            older[i] = {plan.older[i], plan.older[i], std::min(older[i].available, plan.older[i])};
          }
        }
        EXPECT_EQ(newest.wanted, replicas) << surge << " " << unavailable;
        EXPECT_EQ(older[0].wanted + older[1].wanted, 0) << replicas << " " << surge << " " << unavailable;
      }
    }
  }
}

TEST(TemplateHash, DoesNotDependOnTheOrderOfFields) {
  EXPECT_EQ(template_hash(object(R"({"a": 1, "b": {"c": 2, "d": [3]}})")),
            template_hash(object(R"({"b": {"d": [3], "c": 2}, "a": 1})")));
  EXPECT_NE(template_hash(object(R"({"a": 1})")), template_hash(object(R"({"a": 2})")));
}

TEST(PodOrder, PodsThatServeNobodyGoFirst) {
  const auto ready = object(R"({"spec": {"nodeName": "n"}, "status": {"phase": "Running",
    "conditions": [{"type": "Ready", "status": "True"}]}})");
  const auto starting = object(R"({"spec": {"nodeName": "n"}, "status": {"phase": "Running"}})");
  const auto unbound = object(R"({"spec": {}})");
  EXPECT_TRUE(goes_before(unbound, starting));
  EXPECT_TRUE(goes_before(starting, ready));
  EXPECT_FALSE(goes_before(ready, starting));
}

TEST(EndpointSlice, ANamedTargetPortIsLookedUpInThePodsAndUnreadyPodsAreMarked) {
  const auto service = object(R"({"metadata": {"name": "web", "namespace": "shop", "uid": "s1"},
    "spec": {"ports": [{"name": "http", "port": 80, "targetPort": "web"}]}})");
  const auto pod = object(R"({"metadata": {"name": "web-0", "namespace": "shop", "uid": "p1"},
    "spec": {"containers": [{"name": "main", "ports": [{"name": "web", "containerPort": 8000}]}]},
    "status": {"podIP": "127.70.0.2"}})");
  const auto slice = endpoint_slice(service, {&pod});
  EXPECT_EQ(kube::label_of(slice, "kubernetes.io/service-name"), "web");
  EXPECT_EQ(kube::find_int(slice.at("ports").as_array().at(0).as_object(), "port", 0), 8000);
  const auto& endpoint = slice.at("endpoints").as_array().at(0).as_object();
  EXPECT_FALSE(kube::find_bool(endpoint, "conditions.ready", true));
  EXPECT_EQ(kube::find_string(endpoint, "targetRef.name"), "web-0");
}

}  // namespace
}  // namespace llmd::controllers
