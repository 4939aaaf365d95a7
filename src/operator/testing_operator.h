// For tests of this library: an operator that works against an API server in memory.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <functional>
#include <string>

#include "async/scope.h"
#include "json/value.h"
#include "json/yaml.h"
#include "operator/operator.h"
#include "operator/resources.h"
#include "testing/fake_kube.h"

namespace llmd::operators {

using llmd::testing::FakeKube;
using ::testing::HasSubstr;
using ::testing::IsNull;
using ::testing::NotNull;

inline constexpr std::string_view kService = R"(
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: smollm2, namespace: default}
spec:
  model: {uri: "pypi://a/b.gguf", name: smollm2-135m-instruct}
  replicas: 2
  template: {containers: [{name: main, image: "vllm/vllm-openai:latest"}]}
  router: {gateway: {}, route: {}}
)";

inline kube::Object object_of(std::string_view yaml) {
  return json::parse_yaml(yaml, "test")->front().value.as_object();
}

// Runs an operator against an API server in memory.
class OperatorTest : public ::testing::Test {
 protected:
  OperatorTest() : OperatorTest({.gateway_url = "http://127.0.0.1:8080"}) {}
  explicit OperatorTest(OperatorOptions options)
      : kube_(loop_), operator_(loop_, kube_, with_answers(options)) {}

  OperatorOptions with_answers(OperatorOptions options) {
    options.answers = [this](std::string) { return answer(); };
    return options;
  }

  // Runs `steps` while the operator works.
  void play(std::function<Task<void>()> steps) { loop_.block_on(play_task(std::move(steps))); }

  // Waits until nothing happens any more that the operator would react to.
  Task<void> settled() { return kube_.settled(loop_); }

  void deployment_becomes_available() {
    kube_.modify(kube::kDeployments, {"default", "smollm2-kserve"}, [](kube::Object& deployment) {
      deployment["status"] = object_of(
          "{availableReplicas: 2, observedGeneration: 1, conditions: [{type: Available, status: 'True'}]}");
    });
  }

  std::string condition(std::string_view type) {
    const auto* service = kube_.find(kube::kLlmServices, {"default", "smollm2"});
    const auto* found = kube::find_condition(*service, type);
    if (found == nullptr) {
      return "absent";
    }
    std::string text(kube::find_string(*found, "status"));
    for (const char* key : {"reason", "message"}) {
      const auto part = kube::find_string(*found, key);
      text += part.empty() ? "" : " " + std::string(part);
    }
    return text;
  }

  Task<Result<void>> answer() {
    if (answers_) {
      co_return Result<void>();
    }
    co_return unavailable("connection refused");
  }

  async::EventLoop loop_;
  FakeKube kube_;
  bool answers_ = true;
  Operator operator_;

 private:
  Task<void> play_task(std::function<Task<void>()> steps) {
    async::Scope scope(loop_);
    scope.spawn("operator", operator_.run());
    co_await steps();
    co_await scope.close();
  }
};

// The same service on a cluster: pods with a scheduler, certificates, accounts.
class ClusterOperatorTest : public OperatorTest {
 protected:
  ClusterOperatorTest() : OperatorTest({.platform = llmisvc::Platform::Cluster, .gateway_url = {}}) {}
};

}  // namespace llmd::operators
