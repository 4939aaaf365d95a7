#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/file.h"
#include "node/address_pool.h"
#include "node/environment.h"
#include "node/pod_status.h"
#include "node/probe.h"
#include "node/volumes.h"

namespace llmd::node {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using namespace std::chrono_literals;

kube::Object object(std::string_view text) {
  return boost::json::parse(text).as_object();
}

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "llmd-node-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

const kube::Object kPod = object(R"({
  "metadata": {"name": "web-0", "namespace": "shop", "uid": "u1", "labels": {"app": "web"}},
  "spec": {"volumes": [{"name": "model", "emptyDir": {}}, {"name": "home", "hostPath": {"path": "/srv"}}]},
  "status": {"podIP": "127.70.0.2"}})");

TEST(AddressPool, GivesEveryPodAnAddressOfItsOwnAndAReturnedOneAgain) {
  AddressPool pool("/data");
  const auto first = pool.take();
  const auto second = pool.take();
  ASSERT_TRUE(first && second);
  EXPECT_NE(*first, *second);
  EXPECT_TRUE(first->starts_with("127.")) << *first;
  pool.give_back(*first);
  EXPECT_EQ(*pool.take(), *first);
  AddressPool next("/data");
  next.claim(*first);
  EXPECT_EQ(*next.take(), *second);
}

TEST(Environment, AWholeConfigMapIsImportedUnderItsPrefixAndSingleEntriesWin) {
  EnvironmentSources sources;
  sources.config_maps["settings"] = object(R"({"data": {"A": "1", "B": "2"}})");
  const auto container = object(R"({"name": "main", "env": [{"name": "X_B", "value": "3"}],
    "envFrom": [{"prefix": "X_", "configMapRef": {"name": "settings"}}]})");
  const auto environment = container_environment(kPod, container, sources, {});
  ASSERT_TRUE(environment) << environment.error().text();
  EXPECT_THAT(*environment, ElementsAre(Pair("X_A", "1"), Pair("X_B", "3")));
}

TEST(Environment, LaterEntriesSeeEarlierOnesAndTheDownwardApi) {
  const auto container = object(R"json({"name": "main", "env": [
    {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
    {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
    {"name": "URL", "value": "http://$(POD_IP):80/$(APP)/$(MISSING)/$$(APP)"}]})json");
  const auto environment = container_environment(kPod, container, {}, {{"HOME", "/root"}});
  ASSERT_TRUE(environment) << environment.error().text();
  EXPECT_THAT(*environment,
              ElementsAre(Pair("APP", "web"), Pair("HOME", "/root"), Pair("POD_IP", "127.70.0.2"),
                          Pair("URL", "http://127.70.0.2:80/web/$(MISSING)/$(APP)")));
}

TEST(Environment, ASecretsValueIsDecodedAndAMissingKeyIsNamed) {
  EnvironmentSources sources;
  sources.secrets["login"] = object(R"({"data": {"token": "c2VjcmV0"}})");
  const auto container = [](std::string_view key) {
    return object(fmt::format(R"({{"name": "main", "env": [{{"name": "T", "valueFrom":
      {{"secretKeyRef": {{"name": "login", "key": "{}"}}}}}}]}})",
                              key));
  };
  EXPECT_EQ(container_environment(kPod, container("token"), sources, {})->at("T"), "secret");
  const auto missing = container_environment(kPod, container("tokne"), sources, {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "container 'main', env 'T': Secret 'login' has no key 'tokne'");
}

TEST(Volumes, MountedPathsInArgumentsBecomeTheFoldersBehindThem) {
  const TemporaryFolder data;
  const PodFolder folder(data.path(), "u1");
  ASSERT_TRUE(prepare_volumes(kPod, {}, folder, data.path()));
  const auto container = object(R"({"name": "main", "volumeMounts": [
    {"name": "model", "mountPath": "/mnt/models/"}, {"name": "home", "mountPath": "/mnt"}]})");
  const auto mounts = container_mounts(kPod, container, folder, data.path());
  ASSERT_TRUE(mounts) << mounts.error().text();
  const std::string model = folder.volume("model").string();
  EXPECT_TRUE(std::filesystem::is_directory(model));
  EXPECT_EQ(to_host_path("/mnt/models", *mounts), model);
  EXPECT_EQ(to_host_path("--model=/mnt/models/a.gguf", *mounts), "--model=" + model + "/a.gguf");
  EXPECT_EQ(to_host_path("/mnt/other", *mounts), "/srv/other");
  EXPECT_EQ(to_host_path("/mnt-not", *mounts), "/mnt-not");
  EXPECT_EQ(to_host_path("--served-model-name", *mounts), "--served-model-name");
}

TEST(Volumes, AFileOfTheMachineBelowAMountStaysUnlessTheVolumeHasItToo) {
  const TemporaryFolder machine;
  const TemporaryFolder volume;
  const std::string model = (machine.path() / "model").string();
  const std::vector<Mount> mounts{{machine.path().string(), volume.path()}};
  const std::string inside = (volume.path() / "model").string();
  EXPECT_EQ(to_host_path(model, mounts), inside) << "nowhere: the program will make it";
  std::filesystem::create_directory(model);
  EXPECT_EQ(to_host_path("--model=" + model, mounts), "--model=" + model);
  std::filesystem::create_directory(inside);
  EXPECT_EQ(to_host_path(model, mounts), inside);
}

TEST(Volumes, AMountWithoutItsVolumeIsRefusedByName) {
  const TemporaryFolder data;
  const auto container =
      object(R"({"name": "main", "volumeMounts": [{"name": "modle", "mountPath": "/m"}]})");
  const auto mounts = container_mounts(kPod, container, PodFolder(data.path(), "u1"), data.path());
  ASSERT_FALSE(mounts);
  EXPECT_THAT(mounts.error().message, HasSubstr("mounts volume 'modle', which the pod does not have"));
}

TEST(Probe, ANamedPortIsLookedUpAndDefaultsAreKubernetes) {
  const auto container = object(R"({"name": "main", "ports": [{"name": "http", "containerPort": 8000}],
    "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}}})");
  const auto probe = parse_probe(container, "readinessProbe");
  ASSERT_TRUE(probe && *probe);
  EXPECT_EQ((*probe)->port, 8000);
  EXPECT_EQ((*probe)->path, "/health");
  EXPECT_EQ((*probe)->period, Duration(10s));
  EXPECT_EQ((*probe)->failure_threshold, 3);
  EXPECT_FALSE(*parse_probe(container, "livenessProbe"));
}

TEST(Probe, AReadyContainerIsLostOnlyAfterItsThresholdOfFailuresInARow) {
  ProbeTracker tracker({.failure_threshold = 2}, true);
  EXPECT_FALSE(tracker.observe(false));
  EXPECT_FALSE(tracker.observe(true));
  EXPECT_FALSE(tracker.observe(false));
  EXPECT_TRUE(tracker.observe(false));
  EXPECT_FALSE(tracker.succeeded());
  EXPECT_TRUE(tracker.observe(true));
}

TEST(Probe, AStartingContainerIsAskedOftenAtFirstAndByItsPeriodInTheEnd) {
  const Probe probe{.period = 10s};
  EXPECT_EQ(eager_interval(probe, 0), Duration(50ms));
  EXPECT_EQ(eager_interval(probe, 1000), Duration(10s));
}

NamedStatus running(std::string name, bool ready) {
  NamedStatus each{std::move(name), "image", {}};
  each.status.phase = ContainerStatus::Phase::Running;
  each.status.started_up = true;
  each.status.ready = ready;
  return each;
}

std::string condition(const kube::Object& status, std::string_view type) {
  const kube::Object carrier{{"status", status}};
  return std::string(kube::find_string(*kube::find_condition(carrier, type), "status"));
}

TEST(PodStatus, APodIsReadyWhenAllItsContainersAre) {
  PodFacts facts{.address = "127.70.0.2", .containers = {running("main", true), running("side", false)}};
  const auto half = pod_status({}, facts);
  EXPECT_EQ(half.at("phase"), "Running");
  EXPECT_EQ(condition(half, "Ready"), "False");
  facts.containers[1].status.ready = true;
  EXPECT_EQ(condition(pod_status({}, facts), "Ready"), "True");
}

TEST(PodStatus, APodIsPendingUntilItsInitContainersAreDone) {
  PodFacts facts{.init = {running("fetch", false)}, .containers = {NamedStatus{"main", "image", {}}}};
  EXPECT_EQ(pod_status({}, facts).at("phase"), "Pending");
  EXPECT_EQ(condition(pod_status({}, facts), "Initialized"), "False");
}

TEST(PodStatus, RestartsAndTheLastExitAreRememberedByTheNextNode) {
  PodFacts facts{.containers = {running("main", true)}};
  facts.containers[0].status.restarts = 3;
  facts.containers[0].status.last_exit = ExitRecord{.code = 137, .signal = 9};
  const kube::Object pod{{"status", pod_status({}, facts)}};
  const auto remembered = remembered_status(pod, "containerStatuses", "main");
  EXPECT_EQ(remembered.restarts, 3);
  ASSERT_TRUE(remembered.last_exit);
  EXPECT_EQ(remembered.last_exit->code, 137);
  EXPECT_EQ(remembered.phase, ContainerStatus::Phase::Running);
}

}  // namespace
}  // namespace llmd::node
