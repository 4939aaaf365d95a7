// What a picker knows of a cluster while pools, pods, objectives and rewrites come, change and go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/event.h"
#include "async/scope.h"
#include "extproc/kube_pool.h"
#include "json/value.h"
#include "picker/picker.h"
#include "testing/fake_kube.h"

namespace llmd::extproc {
namespace {

constexpr kube::Resource kPools{"inference.networking.k8s.io", "v1", "inferencepools", "InferencePool"};
constexpr kube::Resource kObjectives{"llm-d.ai", "v1alpha2", "inferenceobjectives", "InferenceObjective"};
constexpr kube::Resource kOlderObjectives{"inference.networking.x-k8s.io", "v1alpha2", "inferenceobjectives",
                                          "InferenceObjective"};
constexpr kube::Resource kRewrites{"llm-d.ai", "v1alpha2", "inferencemodelrewrites", "InferenceModelRewrite"};

kube::Object object(std::string_view text) {
  return json::parse_object(text).value();
}

kube::Object pool(std::string_view app, std::string_view ports) {
  return object(fmt::format(R"({{"metadata": {{"name": "pool", "namespace": "team"}}, "spec": {{
      "selector": {{"matchLabels": {{"app": "{}"}}}}, "targetPorts": {}}}}})",
                            app, ports));
}

kube::Object pod(std::string_view name, std::string_view app, std::string_view ip = "10.0.0.1",
                 std::string_view ready = "True") {
  return object(fmt::format(R"({{"metadata": {{"name": "{}", "namespace": "team", "labels": {{"app": "{}"}}}},
      "status": {{"podIP": "{}", "conditions": [{{"type": "Ready", "status": "{}"}}]}}}})",
                            name, app, ip, ready));
}

kube::Object objective(std::string_view name, std::string_view spec) {
  return object(
      fmt::format(R"({{"metadata": {{"name": "{}", "namespace": "team"}}, "spec": {}}})", name, spec));
}

kube::Object rewrite(std::string_view name, std::string_view created, std::string_view target,
                     std::string_view to_pool = "pool") {
  return object(fmt::format(R"({{"apiVersion": "llm-d.ai/v1alpha2", "kind": "InferenceModelRewrite",
      "metadata": {{"name": "{}", "namespace": "team", "creationTimestamp": "{}"}},
      "spec": {{"poolRef": {{"name": "{}"}}, "rules": [{{"targets": [{{"modelRewrite": "{}"}}]}}]}}}})",
                            name, created, to_pool, target));
}

// A cluster, and what somebody who follows its pool was told last.
class KubePoolChanges : public ::testing::Test {
 protected:
  // Runs `steps` while the pool is followed.
  void follow(const std::function<Task<void>()>& steps,
              PoolReference reference = {.name_space = "team", .name = "pool"}) {
    const auto scene = [&]() -> Task<void> {
      KubePool followed(loop, kubernetes, reference);
      followed.on_change([this](std::vector<picker::Endpoint> found, bool is_there) {
        endpoints.clear();
        for (const picker::Endpoint& endpoint : found) {
          endpoints.push_back(endpoint.name + "=" + endpoint.address.to_string());
        }
        exists = is_there;
      });
      followed.on_rules([this](std::shared_ptr<const Rules> now) { rules = std::move(now); });
      co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
        scope.spawn("pool", followed.run());
        co_await steps();
      });
    };
    loop.block_on(scene());
  }
  Task<void> until(std::function<bool()> holds) {
    const auto deadline = async::Deadline::after(std::chrono::seconds(30));
    while (!holds() && !deadline.expired()) {
      co_await async::sleep(std::chrono::milliseconds(1));
    }
  }
  Task<void> until_endpoints(std::vector<std::string> expected, std::string_view after) {
    co_await until([&] { return exists.has_value() && endpoints == expected; });
    EXPECT_EQ(endpoints, expected) << after;
  }
  Task<void> until_priorities(Priorities expected, std::string_view after) {
    co_await until([&] { return rules && rules->priorities == expected; });
    EXPECT_EQ(rules ? rules->priorities : Priorities(), expected) << after;
  }
  std::string target() const {
    const auto match = rules ? rules->rewrites.find("m", 0) : std::nullopt;
    return match ? std::string(match->target) : "-";
  }
  Task<void> until_target(std::string expected, std::string_view after) {
    co_await until([&] { return rules && target() == expected; });
    EXPECT_EQ(target(), expected) << after;
  }
  void put_pod(kube::Object changed) { kubernetes.put(kube::kPods, std::move(changed)); }

  async::EventLoop loop;
  llmd::testing::FakeKube kubernetes{loop};
  std::vector<std::string> endpoints;
  std::optional<bool> exists;  // absent: nothing was said yet
  std::shared_ptr<const Rules> rules;
};

constexpr std::string_view kOnePort = R"([{"number": 8000}])";

TEST_F(KubePoolChanges, APoolComesChangesItsPodsAndPortsAndGoes) {
  put_pod(pod("a", "red", "10.0.0.1"));
  put_pod(pod("b", "blue", "10.0.0.2"));
  follow([this]() -> Task<void> {
    co_await until([this] { return exists.has_value(); });
    EXPECT_EQ(exists, false) << "there is none yet";
    kubernetes.put(kPools, pool("red", kOnePort));
    co_await until_endpoints({"a-rank-0=10.0.0.1:8000"}, "the pool came");
    EXPECT_EQ(exists, true);
    kubernetes.put(kPools, pool("red", R"([{"number": 8000}, {"number": 8001}, {"number": 8002}])"));
    co_await until_endpoints({"a-rank-0=10.0.0.1:8000", "a-rank-1=10.0.0.1:8001", "a-rank-2=10.0.0.1:8002"},
                             "ports were added");
    kubernetes.put(kPools, pool("red", R"([{"number": 8001}])"));
    co_await until_endpoints({"a-rank-0=10.0.0.1:8001"}, "ports were taken away");
    kubernetes.put(kPools, pool("blue", kOnePort));
    co_await until_endpoints({"b-rank-0=10.0.0.2:8000"}, "it selects others");
    auto leaving = pool("blue", kOnePort);
    kube::at(leaving, "metadata.deletionTimestamp") = "2026-01-01T00:00:00Z";
    kubernetes.put(kPools, leaving);
    co_await until_endpoints({}, "it is on its way out");
    EXPECT_EQ(exists, false);
    kubernetes.erase(kPools, {"team", "pool"});
    kubernetes.put(kPools, pool("red", kOnePort));
    co_await until_endpoints({"a-rank-0=10.0.0.1:8000"}, "one of that name came again");
    EXPECT_EQ(exists, true);
    kubernetes.erase(kPools, {"team", "pool"});
    co_await until_endpoints({}, "it has gone");
    EXPECT_EQ(exists, false);
  });
}

TEST_F(KubePoolChanges, PodsComeBecomeReadyChangeAndGo) {
  kubernetes.put(kPools, pool("red", R"([{"number": 8000}, {"number": 8001}])"));
  const std::vector<std::string> both{"a-rank-0=10.0.0.1:8000", "a-rank-1=10.0.0.1:8001"};
  follow([&]() -> Task<void> {
    co_await until_endpoints({}, "nobody is there");
    EXPECT_EQ(exists, true);
    put_pod(pod("b", "blue"));
    put_pod(pod("a", "red", "10.0.0.1", "False"));
    put_pod(pod("c", "red", "", "True"));
    put_pod(pod("d", "red", "10.0.0.4"));
    co_await until_endpoints({"d-rank-0=10.0.0.4:8000", "d-rank-1=10.0.0.4:8001"},
                             "one is ready, matches and has an address");
    kubernetes.erase(kube::kPods, {"team", "d"});
    put_pod(pod("a", "red"));
    co_await until_endpoints(both, "another became ready");
    put_pod(pod("a", "red", "10.0.0.9"));
    co_await until_endpoints({"a-rank-0=10.0.0.9:8000", "a-rank-1=10.0.0.9:8001"}, "a new pod of that name");
    auto one_port = pod("a", "red");
    kube::at(one_port, "metadata.annotations").emplace_object()["llm-d.ai/active-ports"] = "8001";
    put_pod(one_port);
    co_await until_endpoints({"a-rank-1=10.0.0.1:8001"}, "it says that one port is active");
    put_pod(pod("a", "red"));
    co_await until_endpoints(both, "it says nothing any more");
    put_pod(pod("a", "blue"));
    co_await until_endpoints({}, "its label has changed");
    put_pod(pod("a", "red"));
    co_await until_endpoints(both, "and is back");
    auto leaving = pod("a", "red");
    kube::at(leaving, "metadata.deletionTimestamp") = "2026-01-01T00:00:00Z";
    put_pod(leaving);
    co_await until_endpoints({}, "it is on its way out");
  });
}

TEST_F(KubePoolChanges, WithoutAPoolPodsHaveThePortsOfTheFlags) {
  put_pod(pod("a", "red"));
  put_pod(pod("b", "red", "10.0.0.2", "False"));
  const auto steps = [this]() -> Task<void> {
    co_await until_endpoints({"a-rank-0=10.0.0.1:8000", "a-rank-1=10.0.0.1:9000"}, "at the start");
    EXPECT_EQ(exists, true);
    put_pod(pod("b", "red", "10.0.0.2"));
    kubernetes.erase(kube::kPods, {"team", "a"});
    co_await until_endpoints({"b-rank-0=10.0.0.2:8000", "b-rank-1=10.0.0.2:9000"}, "one came, one went");
  };
  follow(steps, {.name_space = "team", .selector = "app=red", .target_ports = {8000, 9000}});
}

TEST_F(KubePoolChanges, ObjectivesComeChangeTheirPriorityAndPoolAndGo) {
  kubernetes.put(kPools, pool("red", kOnePort));
  follow([this]() -> Task<void> {
    kubernetes.put(kObjectives, objective("o", R"({"priority": 5, "poolRef": {"name": "pool"}})"));
    kubernetes.put(kObjectives, objective("foreign", R"({"priority": 9, "poolRef": {"name": "other"}})"));
    co_await until_priorities({{"o", 5}}, "it came");
    kubernetes.put(kObjectives, objective("o", R"({"priority": -1, "poolRef": {"name": "pool"}})"));
    co_await until_priorities({{"o", -1}}, "it has another priority");
    kubernetes.put(kObjectives, objective("o", R"({"poolRef": {"name": "pool"}})"));
    kubernetes.put(kObjectives, objective("p", R"({"priority": 7, "poolRef": {"name": "pool"}})"));
    co_await until_priorities({{"o", 0}, {"p", 7}}, "it has none, another came");
    kubernetes.put(kObjectives, objective("p", R"({"priority": 7, "poolRef": {"name": "other"}})"));
    co_await until_priorities({{"o", 0}}, "that one belongs to another pool");
    kubernetes.put(kObjectives, objective("foreign", R"({"priority": 9, "poolRef": {"name": "pool"}})"));
    co_await until_priorities({{"foreign", 9}, {"o", 0}}, "and one of another pool to ours");
    auto leaving = objective("foreign", R"({"priority": 9, "poolRef": {"name": "pool"}})");
    kube::at(leaving, "metadata.deletionTimestamp") = "2026-01-01T00:00:00Z";
    kubernetes.put(kObjectives, leaving);
    kubernetes.erase(kObjectives, {"team", "o"});
    co_await until_priorities({}, "all have gone");
  });
}

TEST_F(KubePoolChanges, ObjectivesOfTheOlderGroupCountWhereTheNewerIsNotInstalled) {
  const std::string_view spec = R"({"priority": 5, "poolRef": {"name": "pool"}})";
  kubernetes.put(kOlderObjectives, objective("older", spec));
  kubernetes.absent_kinds = {"llm-d.ai/inferenceobjectives", "llm-d.ai/inferencemodelrewrites"};
  follow([&]() -> Task<void> { co_await until_priorities({{"older", 5}}, "at the start"); });
  rules.reset();
  kubernetes.absent_kinds.clear();
  kubernetes.put(kObjectives, objective("newer", spec));
  follow([&]() -> Task<void> { co_await until_priorities({{"newer", 5}}, "with both"); });
}

TEST_F(KubePoolChanges, RewritesComeChangeAndGoAndTheOldestDecides) {
  kubernetes.put(kPools, pool("red", kOnePort));
  constexpr std::string_view kOld = "2025-01-01T00:00:00Z";
  constexpr std::string_view kNew = "2026-01-01T00:00:00Z";
  follow([&]() -> Task<void> {
    kubernetes.put(kRewrites, rewrite("young", kNew, "young"));
    kubernetes.put(kRewrites, rewrite("foreign", "2024-01-01T00:00:00Z", "foreign", "other"));
    co_await until_target("young", "one came");
    kubernetes.put(kRewrites, rewrite("old", kOld, "old"));
    co_await until_target("old", "an older one came");
    kubernetes.put(kRewrites, rewrite("old", kOld, "changed"));
    co_await until_target("changed", "it has another target");
    kubernetes.put(kRewrites, rewrite("old", kOld, ""));
    co_await until_target("young", "it makes no sense any more; the other one stays");
    kubernetes.put(kRewrites, rewrite("old", kOld, "old"));
    co_await until_target("old", "it does again");
    kubernetes.put(kRewrites, rewrite("old", kOld, "old", "other"));
    co_await until_target("young", "it belongs to another pool");
    kubernetes.erase(kRewrites, {"team", "young"});
    co_await until_target("-", "none is left");
  });
}

std::vector<picker::Endpoint> endpoints_with(std::string_view ports) {
  const kube::Object one = pod("a", "red");
  return endpoints_of(pool("red", ports), {&one});
}

TEST(PoolPorts, WhatStaysKeepsItsRequestsAndNumbers) {
  picker::Picker picker;
  picker.update(endpoints_with(R"([{"number": 8000}])"));
  auto decision = picker.pick({.model = "m"});
  ASSERT_TRUE(decision);
  picker.endpoints()->endpoints[0]->report({.waiting = 4}, std::chrono::steady_clock::now());
  picker.update(endpoints_with(R"([{"number": 8000}, {"number": 8001}])"));
  ASSERT_EQ(picker.endpoints()->endpoints.size(), 2);
  EXPECT_EQ(picker.endpoints()->endpoints[0]->running(), 1);
  EXPECT_EQ(picker.endpoints()->endpoints[0]->numbers().waiting, 4);
  EXPECT_EQ(picker.pick({.model = "m"})->endpoint().address.port, 8001) << "the new one is idle";
  picker.update(endpoints_with(R"([{"number": 8000}])"));
  EXPECT_EQ(picker.endpoints()->endpoints[0]->running(), 1);
}

TEST(PoolPorts, WhatIsNoPortKeepsItsPlaceAndMakesNoEndpoint) {
  std::vector<std::string> found;
  for (const picker::Endpoint& endpoint :
       endpoints_with(R"([{"number": 70000}, {"number": 0}, {"number": -1}, {}, 5, {"number": 8000}])")) {
    found.push_back(endpoint.name + "=" + endpoint.address.to_string());
  }
  EXPECT_EQ(found, std::vector<std::string>{"a-rank-5=10.0.0.1:8000"});
}

TEST(PoolEndpoints, SayWhatIsKnownOfTheirPod) {
  const auto full =
      object(R"({"metadata": {"name": "p", "namespace": "team", "labels": {"app": "red", "x": "y"}},
      "spec": {"hostname": "h"}, "status": {"podIP": "fd00::1", "hostIP": "192.168.0.7",
      "conditions": [{"type": "Ready", "status": "True"}]}})");
  const auto found = endpoints_of(pool("red", R"([{"number": 8000}, {"number": 8001}])"), {&full});
  ASSERT_EQ(found.size(), 2);
  const picker::Endpoint& second = found[1];
  EXPECT_EQ(second.name, "p-rank-1");
  EXPECT_EQ(second.pod, "p");
  EXPECT_EQ(second.rank, 1);
  EXPECT_EQ(second.namespace_, "team");
  EXPECT_EQ(second.address.to_string(), "[fd00::1]:8001");
  EXPECT_EQ(second.hostname, "h");
  EXPECT_EQ(second.node, "192.168.0.7");
  EXPECT_EQ(second.labels, (std::map<std::string, std::string>{{"app", "red"}, {"x", "y"}}));
}

// Annotations as JSON members, and the ports that are served.
struct Annotated {
  std::string_view annotations;
  std::vector<int> ports;
};

TEST(ActivePorts, AreThoseOfTheAnnotation) {
  const Annotated rows[] = {
      {"", {8000, 8001, 8002}},
      {R"("llm-d.ai/active-ports": "8000,8001,8002")", {8000, 8001, 8002}},
      {R"("llm-d.ai/active-ports": "8001")", {8001}},
      {R"("llm-d.ai/active-ports": "8002,8000")", {8000, 8002}},
      {R"("llm-d.ai/active-ports": " 8000 ,\t8001 ")", {8000, 8001}},
      {R"("llm-d.ai/active-ports": "")", {}},
      {R"("llm-d.ai/active-ports": "  ")", {}},
      {R"("llm-d.ai/active-ports": ",,")", {}},
      {R"("llm-d.ai/active-ports": "8000,,8001,")", {8000, 8001}},
      {R"("llm-d.ai/active-ports": "8000,8000,8000")", {8000}},
      {R"("llm-d.ai/active-ports": "8000,9999")", {8000}},
      {R"("llm-d.ai/active-ports": "9999")", {}},
      {R"("llm-d.ai/active-ports": "-8000,8001")", {8001}},
      {R"("llm-d.ai/active-ports": "0,65536,73536,8001")", {8001}},
      {R"("llm-d.ai/active-ports": "eight,8000.0,0x1f40,8001")", {8001}},
      {R"("inference.networking.k8s.io/active-ports": "8001")", {8001}},
      {R"("inference.networking.k8s.io/active-ports": "")", {}},
      {R"("llm-d.ai/active-ports": "8000", "inference.networking.k8s.io/active-ports": "8001")", {8000}},
      {R"("llm-d.ai/active-ports": "", "inference.networking.k8s.io/active-ports": "8001")", {}},
      {R"("example.com/active-ports": "8001")", {8000, 8001, 8002}},
  };
  for (const Annotated& row : rows) {
    auto one = pod("p", "red");
    kube::at(one, "metadata.annotations") = json::Value(object(fmt::format("{{{}}}", row.annotations)));
    std::vector<int> ports;
    for (const picker::Endpoint& endpoint :
         endpoints_of(pool("red", R"([{"number": 8000}, {"number": 8001}, {"number": 8002}])"), {&one})) {
      EXPECT_EQ(endpoint.rank, endpoint.address.port - 8000) << "the place among all target ports";
      ports.push_back(endpoint.address.port);
    }
    EXPECT_EQ(ports, row.ports) << row.annotations;
  }
}

}  // namespace
}  // namespace llmd::extproc
