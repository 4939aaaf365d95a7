// Pods that change while requests run on them, as a cluster and as an endpoints file tell of them: who is
// still the same endpoint, and what it keeps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <numeric>

#include "async/scope.h"
#include "base/file.h"
#include "extproc/kube_pool.h"
#include "extproc/served_pools.h"
#include "json/value.h"
#include "testing/fake_kube.h"

namespace llmd::extproc {
namespace {

constexpr std::string_view kGold = R"(plugins:
- {type: label-selector-filter, parameters: {matchLabels: {tier: gold}}}
- type: prefix-cache-scorer
)";

// Whoever has the prompt's first half cached is known by that.
class Prompt {
 public:
  Prompt() { std::iota(units_.begin(), units_.end(), 7); }
  picker::Request request() const {
    return {.id = "r", .model = "m", .prompt_bytes = units_.size() * 64, .prompt_units = units_};
  }

 private:
  std::vector<std::uint64_t> units_ = std::vector<std::uint64_t>(16);
};

std::int64_t cached_on(const picker::Picker& picker, const Prompt& prompt) {
  const auto decision = picker.pick(prompt.request());
  return decision ? decision->predicted_cached_tokens : -1;
}

std::string label_of(const picker::Picker& picker, std::string_view key) {
  const auto snapshot = picker.endpoints();
  const std::string* value = snapshot->described.empty() ? nullptr : snapshot->described[0]->label(key);
  return value != nullptr ? *value : "";
}

Task<void> until(const std::function<bool()>& holds, const char* what) {
  const auto deadline = async::Deadline::after(std::chrono::seconds(30));
  while (!holds() && !deadline.expired()) {
    co_await async::sleep(std::chrono::milliseconds(1));
  }
  EXPECT_TRUE(holds()) << what;
}

constexpr kube::Resource kPools{"inference.networking.k8s.io", "v1", "inferencepools", "InferencePool"};

// The API server gives it its UID.
kube::Object pod(std::string_view tier, std::string_view step, std::string_view ready = "True") {
  return json::parse_object(fmt::format(R"({{"metadata": {{"name": "a", "namespace": "team",
      "labels": {{"app": "red", "tier": "{}", "step": "{}"}}, "annotations": {{"step": "{}"}}}},
      "status": {{"podIP": "10.0.0.1", "conditions": [{{"type": "Ready", "status": "{}"}}]}}}})",
                                        tier, step, step, ready))
      .value();
}

class PodIdentity : public ::testing::Test {
 protected:
  // Runs `steps` while the picker has the endpoints of the cluster's pool.
  void follow(const std::function<Task<void>()>& steps) {
    kubernetes.put(kPools, json::parse_object(R"({"metadata": {"name": "pool", "namespace": "team"}, "spec": {
        "selector": {"matchLabels": {"app": "red"}}, "targetPorts": [{"number": 8000}]}})")
                               .value());
    const auto scene = [&]() -> Task<void> {
      KubePool followed(loop, kubernetes, {.name_space = "team", .name = "pool"});
      followed.on_change(
          [this](std::vector<picker::Endpoint> found, bool) { picker->update(std::move(found)); });
      co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
        scope.spawn("pool", followed.run());
        co_await steps();
      });
    };
    loop.block_on(scene());
  }
  Task<void> put_until(kube::Object changed, std::string step) {
    kubernetes.put(kube::kPods, std::move(changed));
    co_await until([&] { return label_of(*picker, "step") == step; }, step.c_str());
  }
  std::size_t size() const { return picker->endpoints()->endpoints.size(); }

  async::EventLoop loop;
  llmd::testing::FakeKube kubernetes{loop};
  std::unique_ptr<picker::Picker> picker = picker::Picker::from_config(kGold, "test.yaml").value();
  const Prompt prompt;
};

TEST_F(PodIdentity, AChangedLabelOrAnnotationIsSeenAndLosesNeitherRequestsNorPrefixes) {
  follow([this]() -> Task<void> {
    co_await put_until(pod("gold", "1"), "1");
    auto running = picker->pick(prompt.request()).value();
    const auto state = picker->endpoints()->endpoints[0];
    co_await put_until(pod("gold", "2"), "2");
    EXPECT_EQ(picker->endpoints()->endpoints[0], state);
    EXPECT_EQ(state->running(), 1);
    EXPECT_GT(cached_on(*picker, prompt), 0);
    co_await put_until(pod("silver", "3"), "3");
    EXPECT_FALSE(picker->pick(prompt.request())) << "the filter goes by the new label";
    EXPECT_EQ(state->running(), 1);
    co_await put_until(pod("gold", "4"), "4");
    EXPECT_GT(cached_on(*picker, prompt), 0) << "nothing has been forgotten meanwhile";
    running.complete({});
    EXPECT_EQ(picker->endpoints()->endpoints[0]->running(), 0);
  });
}

TEST_F(PodIdentity, APodOfTheSameNameAndAddressWithAnotherUidStartsAtNothing) {
  follow([this]() -> Task<void> {
    co_await put_until(pod("gold", "1"), "1");
    const auto running = picker->pick(prompt.request()).value();
    EXPECT_GT(cached_on(*picker, prompt), 0);
    kubernetes.erase(kube::kPods, {"team", "a"});
    co_await put_until(pod("gold", "2"), "2");
    EXPECT_EQ(picker->endpoints()->endpoints[0]->running(), 0);
    EXPECT_LE(cached_on(*picker, prompt), 0) << "its cache is cold";
  });
}

TEST_F(PodIdentity, APodThatIsNotReadyForAWhileIsCountedOnWhenItIsBack) {
  follow([this]() -> Task<void> {
    co_await put_until(pod("gold", "1"), "1");
    const auto running = picker->pick(prompt.request()).value();
    kubernetes.put(kube::kPods, pod("gold", "2", "False"));
    co_await until([this] { return size() == 0; }, "it is not ready");
    co_await put_until(pod("gold", "3"), "3");
    EXPECT_EQ(picker->endpoints()->endpoints[0]->running(), 1) << "the request still runs there";
  });
}

TEST(EndpointsFileIdentity, AChangedLabelIsSeenAndLosesNeitherRequestsNorPrefixes) {
  const auto file = std::filesystem::path(::testing::TempDir()) / fmt::format("identity-{}.yaml", ::getpid());
  const auto content = [](std::string_view tier, std::string_view step, int port) {
    return fmt::format(
        "endpoints:\n- {{name: a, address: 10.0.0.1, port: {}, labels: {{tier: {}, step: \"{}\"}}}}\n", port,
        tier, step);
  };
  async::EventLoop loop;
  ServedPools pools(loop, {.config_text = std::string(kGold), .config_name = "test.yaml"});
  const std::string first = content("gold", "1", 8000);
  ASSERT_TRUE(write_file_atomically(file, first));
  ASSERT_TRUE(pools.apply(picker::parse_endpoints(first, "e.yaml").value(), file.parent_path()));
  const picker::Picker& picker = *pools.pools()->only()->picker;
  const Prompt prompt;
  const auto state = picker.endpoints()->endpoints[0];
  const auto running = picker.pick(prompt.request()).value();
  const auto steps = [&]() -> Task<void> {
    const auto change = [&](std::string tier, std::string step, int port) -> Task<void> {
      EXPECT_TRUE(write_file_atomically(file, content(tier, step, port)));
      co_await until([&] { return label_of(picker, "step") == step; }, step.c_str());
    };
    co_await change("silver", "2", 8000);
    EXPECT_FALSE(picker.pick(prompt.request())) << "the filter goes by the new label";
    co_await change("gold", "3", 8000);
    EXPECT_EQ(picker.endpoints()->endpoints[0], state);
    EXPECT_EQ(state->running(), 1);
    EXPECT_GT(cached_on(picker, prompt), 0);
    co_await change("gold", "4", 8001);
    EXPECT_EQ(picker.endpoints()->endpoints[0]->running(), 0) << "another port is another endpoint";
    EXPECT_LE(cached_on(picker, prompt), 0);
  };
  const auto scene = [&]() -> Task<void> {
    co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
      scope.spawn("file", picker::watch_endpoints(file, first, [&](picker::EndpointsFile read) {
                    EXPECT_TRUE(pools.apply(read, file.parent_path()));
                  }));
      co_await steps();
    });
  };
  loop.block_on(scene());
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace llmd::extproc
