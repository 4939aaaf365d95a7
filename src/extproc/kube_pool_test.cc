#include "extproc/kube_pool.h"

#include <gtest/gtest.h>

#include "json/value.h"

namespace llmd::extproc {
namespace {

kube::Object object(std::string_view text) {
  return json::parse_object(text).value();
}

const kube::Object kPool = object(R"({"metadata": {"name": "pool", "namespace": "team"}, "spec": {
    "selector": {"matchLabels": {"app": "vllm"}}, "targetPorts": [{"number": 8000}, {"number": 8001}]}})");

kube::Object pod(std::string_view labels, std::string_view annotations = "{}",
                 std::string_view ready = "True", std::string_view more = "") {
  return object(
      fmt::format(R"({{"metadata": {{"name": "p", "namespace": "team", "labels": {}, "annotations": {}{}}},
      "status": {{"podIP": "127.0.0.1", "conditions": [{{"type": "Ready", "status": "{}"}}]}}}})",
                  labels, annotations, more, ready));
}

std::string names(const kube::Object& pool, const kube::Object& one) {
  std::string joined;
  for (const picker::Endpoint& endpoint : endpoints_of(pool, {&one})) {
    joined += endpoint.name + "=" + endpoint.address.to_string() + " ";
  }
  return joined;
}

TEST(KubePool, APodIsAnEndpointForEveryTargetPort) {
  EXPECT_EQ(names(kPool, pod(R"({"app": "vllm"})")), "p-rank-0=127.0.0.1:8000 p-rank-1=127.0.0.1:8001 ");
}

TEST(KubePool, PodsThatDoNotMatchAreNotReadyOrLeaveAreNone) {
  EXPECT_EQ(names(kPool, pod(R"({"app": "other"})")), "");
  EXPECT_EQ(names(kPool, pod(R"({"app": "vllm"})", "{}", "False")), "");
  EXPECT_EQ(names(kPool, pod(R"({"app": "vllm"})", "{}", "True",
                             R"(, "deletionTimestamp": "2026-01-01T00:00:00Z")")),
            "");
}

TEST(KubePool, PoolsOfTheOlderVersionSelectByPlainLabelsAndOnePort) {
  const auto older = object(
      R"({"metadata": {"name": "pool"}, "spec": {"selector": {"app": "vllm"}, "targetPortNumber": 9}})");
  EXPECT_EQ(names(older, pod(R"({"app": "vllm", "x": "y"})")), "p-rank-0=127.0.0.1:9 ");
  EXPECT_EQ(names(older, pod(R"({"x": "y"})")), "");
}

TEST(KubePool, APodSaysWhichOfItsPortsAreActive) {
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"8001", "p-rank-1=127.0.0.1:8001 "},
      {" 8001 , 8000 ", "p-rank-0=127.0.0.1:8000 p-rank-1=127.0.0.1:8001 "},
      {"8001,8001,-1,x,9", "p-rank-1=127.0.0.1:8001 "},
      {"", ""},
  };
  for (const auto& [value, expected] : rows) {
    const std::string annotations =
        fmt::format(R"({{"inference.networking.k8s.io/active-ports": "{}"}})", value);
    EXPECT_EQ(names(kPool, pod(R"({"app": "vllm"})", annotations)), expected) << value;
  }
}

TEST(KubePool, APoolThatIsBeingDeletedHasNoEndpoints) {
  auto leaving = kPool;
  kube::at(leaving, "metadata.deletionTimestamp") = "2026-01-01T00:00:00Z";
  EXPECT_EQ(names(leaving, pod(R"({"app": "vllm"})")), "");
}

TEST(KubePool, OnlyObjectivesOfThePoolHavePriorities) {
  const PoolReference reference{.name_space = "team", .name = "pool"};
  const std::pair<std::string_view, bool> rows[] = {
      {R"({"name": "pool"})", true},
      {R"({"name": "pool", "group": "inference.networking.k8s.io"})", true},
      {R"({"name": "pool", "group": "inference.networking.x-k8s.io"})", false},
      {R"({"name": "another"})", false},
  };
  for (const auto& [pool_ref, ours] : rows) {
    const auto objective = object(fmt::format(
        R"({{"metadata": {{"name": "o"}}, "spec": {{"priority": -3, "poolRef": {}}}}})", pool_ref));
    EXPECT_EQ(priorities_of({&objective}, reference), ours ? Priorities({{"o", -3}}) : Priorities())
        << pool_ref;
  }
  const auto without_priority =
      object(R"({"metadata": {"name": "o"}, "spec": {"poolRef": {"name": "pool"}}})");
  EXPECT_EQ(priorities_of({&without_priority}, reference), Priorities({{"o", 0}}));
}

}  // namespace
}  // namespace llmd::extproc
