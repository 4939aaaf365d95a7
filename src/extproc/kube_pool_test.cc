#include "extproc/kube_pool.h"

#include <gtest/gtest.h>

#include <map>

#include "async/event.h"
#include "async/scope.h"
#include "json/value.h"
#include "testing/fake_kube.h"

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

TEST(KubePool, OnlyRewritesOfThePoolCountAndNonsenseIsLeftOut) {
  const auto rewrite = [](std::string_view pool, std::string_view rules) {
    return object(fmt::format(
        R"({{"apiVersion": "llm-d.ai/v1alpha2", "kind": "InferenceModelRewrite", "metadata": {{"name": "r"}},
            "spec": {{"poolRef": {{"name": "{}"}}, "rules": {}}}}})",
        pool, rules));
  };
  const PoolReference reference{.name_space = "team", .name = "pool"};
  const auto ours = rewrite("pool", R"([{"targets": [{"modelRewrite": "t"}]}])");
  const auto foreign = rewrite("another", R"([{"targets": [{"modelRewrite": "t"}]}])");
  const auto nonsense = rewrite("pool", R"([{}])");
  const auto found = rewrites_of({&ours, &foreign, &nonsense}, reference);
  ASSERT_EQ(found.size(), 1);
  EXPECT_EQ(found[0].rules[0].targets[0].model, "t");
}

// Two pools of one namespace, each with its own pods and rules.
TEST(KubePool, PoolsOfOneNamespaceDoNotMix) {
  constexpr kube::Resource kPools{"inference.networking.k8s.io", "v1", "inferencepools", "InferencePool"};
  constexpr kube::Resource kRewrites{"llm-d.ai", "v1alpha2", "inferencemodelrewrites",
                                     "InferenceModelRewrite"};
  async::EventLoop loop;
  llmd::testing::FakeKube kubernetes(loop);
  for (const char* name : {"red", "blue"}) {
    kubernetes.put(kPools, object(fmt::format(
                               R"({{"metadata": {{"name": "{0}", "namespace": "team"}}, "spec": {{
            "selector": {{"matchLabels": {{"app": "{0}"}}}}, "targetPorts": [{{"number": 8000}}]}}}})",
                               name)));
    kubernetes.put(kube::kPods,
                   object(fmt::format(
                       R"({{"metadata": {{"name": "{0}", "namespace": "team", "labels": {{"app": "{0}"}}}},
            "status": {{"podIP": "127.0.0.1", "conditions": [{{"type": "Ready", "status": "True"}}]}}}})",
                       name)));
    kubernetes.put(kRewrites, object(fmt::format(
                                  R"({{"apiVersion": "llm-d.ai/v1alpha2", "kind": "InferenceModelRewrite",
            "metadata": {{"name": "{0}", "namespace": "team"}}, "spec": {{"poolRef": {{"name": "{0}"}},
            "rules": [{{"targets": [{{"modelRewrite": "{0}-model"}}]}}]}}}})",
                                  name)));
  }
  std::map<std::string, std::string> endpoints;
  std::map<std::string, std::string> targets;
  const auto follow = [&]() -> Task<void> {
    KubePool red(loop, kubernetes, {.name_space = "team", .name = "red"});
    KubePool blue(loop, kubernetes, {.name_space = "team", .name = "blue"});
    async::Event told(loop.executor());
    for (const auto& [name, pool] : {std::pair<std::string, KubePool*>("red", &red), {"blue", &blue}}) {
      pool->on_change([&, name](std::vector<picker::Endpoint> found, bool exists) {
        EXPECT_TRUE(exists);
        endpoints[name] = found.size() == 1 ? found.front().name : std::to_string(found.size());
        told.set();
      });
      pool->on_rules([&, name](std::shared_ptr<const Rules> rules) {
        const auto match = rules->rewrites.find("any", 0);
        targets[name] = match ? match->target : "";
        told.set();
      });
    }
    co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
      scope.spawn("red", red.run());
      scope.spawn("blue", blue.run());
      while (endpoints.size() < 2 || targets.size() < 2 || targets["red"].empty() ||
             targets["blue"].empty()) {
        told.reset();
        co_await told.wait();
      }
    });
  };
  loop.block_on(follow());
  EXPECT_EQ(endpoints, (std::map<std::string, std::string>{{"blue", "blue-rank-0"}, {"red", "red-rank-0"}}));
  EXPECT_EQ(targets, (std::map<std::string, std::string>{{"blue", "blue-model"}, {"red", "red-model"}}));
}

}  // namespace
}  // namespace llmd::extproc
