// The node as its users see it: pod objects go in, processes and statuses come out. Real processes, an API
// server in memory.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include <csignal>
#include <fstream>

#include "async/scope.h"
#include "base/strings.h"
#include "node/node.h"
#include "node/testing_processes.h"
#include "testing/fake_kube.h"

namespace llmd::node {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

const kube::ObjectKey kKey{"shop", "web-0"};

class Pods : public ::testing::Test {
 protected:
  // Lives like `llmd up`: release() stands for a kill, shutdown() for Ctrl-C.
  struct Running {
    Running(async::EventLoop& event_loop, kube::Client& client, const std::filesystem::path& data)
        : loop(event_loop),
          scope(event_loop),
          node(loop, client,
               {.data = data, .llmd = kTestProgram, .model_cache = data / "cache", .shutdown_grace = 20s}) {
      scope.spawn("node", node.run());
    }
    ~Running() {
      loop.block_on(scope.close());
      loop.block_on(node.release());
    }
    void shutdown() {
      loop.block_on(scope.close());
      loop.block_on(node.shutdown());
    }

    async::EventLoop& loop;
    async::Scope scope;
    Node node;
  };

  std::unique_ptr<Running> start_node() { return std::make_unique<Running>(loop_, api_, data_.path()); }

  kube::Object pod_object() {
    return boost::json::parse(fmt::format(R"({{
      "apiVersion": "v1", "kind": "Pod",
      "metadata": {{"name": "web-0", "namespace": "shop"}},
      "spec": {{"nodeName": "llmd-local", "terminationGracePeriodSeconds": 20,
        "volumes": [{{"name": "model", "emptyDir": {{}}}}],
        "initContainers": [{{"name": "fetch", "image": "kserve/storage-initializer:v1",
          "args": ["file:///weights", "/mnt/models"],
          "volumeMounts": [{{"name": "model", "mountPath": "/mnt/models"}}]}}],
        "containers": [{{"name": "main", "image": "registry/llmd:1", "args": ["/mnt/models"],
          "env": [{{"name": "READY_FILE", "value": "/mnt/models/fetched"}},
                  {{"name": "STARTS_FILE", "value": "{}"}}],
          "readinessProbe": {{"httpGet": {{"path": "/health", "port": 8000}}}},
          "volumeMounts": [{{"name": "model", "mountPath": "/mnt/models"}}]}}]}}}})",
                                          starts_file_.string()))
        .as_object();
  }

  const kube::Object* pod() const { return api_.find(kube::kPods, kKey); }
  bool is_ready() const {
    const auto* condition = pod() == nullptr ? nullptr : kube::find_condition(*pod(), "Ready");
    return condition != nullptr && kube::find_string(*condition, "status") == "True";
  }
  kube::Object main_status() const {
    const auto* list = kube::find_array(*pod(), "status.containerStatuses");
    return list == nullptr ? kube::Object() : list->at(0).as_object();
  }
  void wait(std::string_view what, std::function<bool()> holds) {
    loop_.block_on(until(what, std::move(holds)));
  }
  // All programs that were ever started for the main container.
  std::vector<pid_t> starts() const {
    std::vector<pid_t> pids;
    const std::string text = text_of(starts_file_);
    for (const auto line : split(trim(text), '\n')) {
      if (const auto pid = parse_integer(line)) {
        pids.push_back(static_cast<pid_t>(*pid));
      }
    }
    return pids;
  }
  PodFolder folder() const { return PodFolder(data_.path(), kube::uid_of(*pod())); }
  void mark_deleted() {
    api_.modify(kube::kPods, kKey, [](kube::Object& object) {
      kube::at(object, "metadata.deletionTimestamp") = "2026-01-01T00:00:00Z";
      kube::at(object, "metadata.deletionGracePeriodSeconds") = 20;
    });
  }
  // A node with the pod of pod_object(), ready.
  std::unique_ptr<Running> node_with_ready_pod() {
    auto node = start_node();
    api_.put(kube::kPods, pod_object());
    wait("a ready pod", [this] { return is_ready(); });
    return node;
  }

  TestFolder data_;
  std::filesystem::path starts_file_ = data_.path() / "starts";
  async::EventLoop loop_;
  testing::FakeKube api_{loop_};
};

TEST_F(Pods, APodBecomesAProcessThatIsReadyOnItsOwnAddress) {
  const auto node = node_with_ready_pod();
  EXPECT_EQ(kube::find_string(*pod(), "status.phase"), "Running");
  EXPECT_THAT(kube::find_string(*pod(), "status.podIP"), ::testing::StartsWith("127."));
  EXPECT_EQ(text_of(folder().volume("model") / "fetched"), "file:///weights");
  ASSERT_EQ(starts().size(), 1U);
  EXPECT_TRUE(is_alive(starts().front()));
  const auto* registered = api_.find(kube::kNodes, {{}, "llmd-local"});
  ASSERT_NE(registered, nullptr);
  EXPECT_EQ(kube::find_string(*kube::find_condition(*registered, "Ready"), "status"), "True");
}

TEST_F(Pods, ADeletedPodsProcessEndsBeforeItsObjectGoes) {
  const auto node = node_with_ready_pod();
  const auto root = folder().root();
  const pid_t program = starts().front();
  bool alive_when_removed = true;
  mark_deleted();
  wait("the object's removal", [&] {
    alive_when_removed = is_alive(program);
    return pod() == nullptr;
  });
  EXPECT_FALSE(alive_when_removed);
  EXPECT_FALSE(std::filesystem::exists(root));
  EXPECT_EQ(starts().size(), 1U);
}

TEST_F(Pods, AKilledProgramIsRestartedAndCounted) {
  const auto node = node_with_ready_pod();
  ::kill(starts().front(), SIGKILL);
  wait("the restarted program", [&] { return starts().size() == 2 && is_ready(); });
  EXPECT_EQ(main_status().at("restartCount"), 1);
  EXPECT_EQ(kube::find_int(main_status(), "lastState.terminated.exitCode", 0), 137);
}

TEST_F(Pods, TheNextNodeAdoptsWhatAKilledOneLeft) {
  auto first = node_with_ready_pod();
  const std::string address(kube::find_string(*pod(), "status.podIP"));
  first.reset();
  ASSERT_TRUE(is_alive(starts().front()));

  api_.modify(kube::kPods, kKey, [](kube::Object& object) { object["status"] = kube::Object(); });
  auto second = start_node();
  wait("the adopted pod", [this] { return is_ready(); });
  EXPECT_EQ(kube::find_string(*pod(), "status.phase"), "Running");
  EXPECT_EQ(kube::find_string(*pod(), "status.podIP"), address);
  EXPECT_EQ(main_status().at("restartCount"), 0);
  EXPECT_EQ(starts().size(), 1U);
  second->shutdown();
  EXPECT_FALSE(is_alive(starts().front()));
}

TEST_F(Pods, ANewPodNeverGetsTheAddressOfOneThatIsStillToBeAdopted) {
  auto first = node_with_ready_pod();
  first.reset();
  auto other = pod_object();
  kube::at(other, "metadata.name") = "a-first-by-name";
  api_.put(kube::kPods, other);
  const auto second = start_node();
  const kube::ObjectKey key{"shop", "a-first-by-name"};
  wait("the new pod's address",
       [&] { return !kube::find_string(*api_.find(kube::kPods, key), "status.podIP").empty(); });
  EXPECT_NE(kube::find_string(*api_.find(kube::kPods, key), "status.podIP"),
            kube::find_string(*pod(), "status.podIP"));
}

TEST_F(Pods, APodDeletedWhileNoNodeRanIsEndedByTheNext) {
  node_with_ready_pod().reset();
  const pid_t program = starts().front();
  const auto root = folder().root();
  mark_deleted();
  ASSERT_TRUE(is_alive(program));
  const auto second = start_node();
  wait("the object's removal", [this] { return pod() == nullptr; });
  EXPECT_FALSE(is_alive(program));
  EXPECT_FALSE(std::filesystem::exists(root));
  EXPECT_EQ(starts().size(), 1U);
}

TEST_F(Pods, AForgottenPodsProcessAndFolderAreCleanedUp) {
  node_with_ready_pod().reset();
  const pid_t program = starts().front();
  const auto root = folder().root();
  api_.erase(kube::kPods, kKey);
  const auto second = start_node();
  wait("the folder's removal", [&] { return !std::filesystem::exists(root); });
  EXPECT_FALSE(is_alive(program));
}

TEST_F(Pods, ShutdownLeavesNoProcessNotEvenOfPodsJustAdopted) {
  auto first = node_with_ready_pod();
  const pid_t program = starts().front();
  first.reset();
  auto second = start_node();
  second->shutdown();
  EXPECT_FALSE(is_alive(program));
  ASSERT_NE(pod(), nullptr);  // the object stays for the next start
}

TEST_F(Pods, APodThatCannotBeStartedSaysWhyAndStartsOnceItCan) {
  const auto node = start_node();
  auto object = pod_object();
  auto& container = object["spec"].as_object()["containers"].as_array()[0].as_object();
  container["envFrom"] = boost::json::parse(R"([{"configMapRef": {"name": "settings"}}])");
  api_.put(kube::kPods, object);
  wait("the reason", [&] { return !kube::find_string(main_status(), "state.waiting.message").empty(); });
  EXPECT_EQ(kube::find_string(main_status(), "state.waiting.reason"), "CreateContainerConfigError");
  EXPECT_THAT(kube::find_string(main_status(), "state.waiting.message"),
              HasSubstr("container 'main': envFrom: ConfigMap 'settings' does not exist"));
  api_.put(kube::kConfigMaps, boost::json::parse(R"({"metadata": {"name": "settings", "namespace": "shop"},
                                                    "data": {"A": "1"}})")
                                  .as_object());
  wait("a ready pod", [this] { return is_ready(); });
}

TEST_F(Pods, AProgramWithoutAProfileIsRefusedInTheStatus) {
  const auto node = start_node();
  auto object = pod_object();
  auto& container = object["spec"].as_object()["containers"].as_array()[0].as_object();
  container["image"] = "nginx:1";
  container["command"] = boost::json::parse(R"(["nginx"])");
  api_.put(kube::kPods, object);
  wait("the reason", [&] { return !kube::find_string(main_status(), "state.waiting.message").empty(); });
  EXPECT_THAT(kube::find_string(main_status(), "state.waiting.message"),
              HasSubstr("container 'main': program 'nginx' has no engine profile"));
  EXPECT_EQ(starts().size(), 0U);
}

}  // namespace
}  // namespace llmd::node
