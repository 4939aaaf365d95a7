// What the operator makes of a service, on one machine and on a cluster.
#include "operator/testing_operator.h"

namespace llmd::operators {
namespace {

TEST_F(OperatorTest, MakesTheObjectsOfAServiceAndReportsIt) {
  kube_.put(kube::kLlmServices, object_of(kService));
  play([this]() -> Task<void> {
    co_await settled();
    EXPECT_THAT(kube_.find(kube::kDeployments, {"default", "smollm2-kserve"}), NotNull());
    EXPECT_THAT(kube_.find(kube::kServices, {"default", "smollm2-kserve-workload-svc"}), NotNull());
    EXPECT_THAT(kube_.find(kube::kHttpRoutes, {"default", "smollm2-kserve-route"}), NotNull());
    EXPECT_THAT(kube_.find(kube::kGateways, {"kserve", "kserve-ingress-gateway"}), NotNull());
    EXPECT_EQ(condition("PresetsCombined"), "True");
    EXPECT_EQ(condition("HTTPRoutesReady"), "True");
    EXPECT_EQ(condition("MainWorkloadReady"), "False Progressing 0 of 2 replicas are ready");
    EXPECT_EQ(condition("Ready"), "False Progressing 0 of 2 replicas are ready");
    deployment_becomes_available();
    co_await settled();
    EXPECT_EQ(condition("Ready"), "True");
    const auto* service = kube_.find(kube::kLlmServices, {"default", "smollm2"});
    EXPECT_EQ(kube::find_string(*service, "status.url"), "http://127.0.0.1:8080/default/smollm2");
    EXPECT_EQ(kube::find_int(*service, "status.observedGeneration", 0), 1);
    EXPECT_EQ(kube::find_int(*service, "status.workloads.primary.readyReplicas", 0), 2);
  });
}

TEST_F(OperatorTest, ChildrenBelongToTheService) {
  kube_.put(kube::kLlmServices, object_of(kService));
  play([this]() -> Task<void> {
    co_await settled();
    const auto* deployment = kube_.find(kube::kDeployments, {"default", "smollm2-kserve"});
    const auto* owner = kube::controller_of(*deployment);
    EXPECT_THAT(owner, NotNull());
    const auto* service = kube_.find(kube::kLlmServices, {"default", "smollm2"});
    EXPECT_EQ(kube::find_string(*owner, "uid"), kube::uid_of(*service));
  });
}

TEST_F(OperatorTest, WritesNothingWhenNothingChanged) {
  kube_.put(kube::kLlmServices, object_of(kService));
  play([this]() -> Task<void> {
    co_await settled();
    deployment_becomes_available();
    co_await settled();
    const int before = kube_.writes;
    // An annotation that nobody renders wakes the operator up without giving it anything to do.
    kube_.modify(kube::kLlmServices, {"default", "smollm2"}, [](kube::Object& service) {
      kube::at(service, "metadata.annotations") = kube::Object{{"note", "x"}};
    });
    co_await settled();
    EXPECT_EQ(kube_.writes, before);
  });
}

TEST_F(OperatorTest, AChangedReplicaCountIsAppliedToTheDeploymentOnly) {
  kube_.put(kube::kLlmServices, object_of(kService));
  play([this]() -> Task<void> {
    co_await settled();
    const int before = kube_.writes;
    kube_.modify(kube::kLlmServices, {"default", "smollm2"},
                 [](kube::Object& service) { kube::at(service, "spec.replicas") = 3; });
    co_await settled();
    const auto* deployment = kube_.find(kube::kDeployments, {"default", "smollm2-kserve"});
    EXPECT_EQ(kube::find_int(*deployment, "spec.replicas", 0), 3);
    EXPECT_LE(kube_.writes - before, 2);  // the Deployment, and the status it changes
  });
}

TEST_F(OperatorTest, RemovesWhatIsRenderedNoLonger) {
  kube_.put(kube::kLlmServices, object_of(kService));
  play([this]() -> Task<void> {
    co_await settled();
    kube_.modify(kube::kLlmServices, {"default", "smollm2"},
                 [](kube::Object& service) { service["spec"].as_object().erase("router"); });
    co_await settled();
    EXPECT_THAT(kube_.find(kube::kHttpRoutes, {"default", "smollm2-kserve-route"}), IsNull());
    EXPECT_THAT(kube_.find(kube::kDeployments, {"default", "smollm2-kserve"}), NotNull());
    EXPECT_EQ(condition("HTTPRoutesReady"), "absent");
    const auto* service = kube_.find(kube::kLlmServices, {"default", "smollm2"});
    EXPECT_EQ(kube::find_string(*service, "status.url"), "");
  });
}

TEST_F(OperatorTest, RepairsAChildThatSomebodyDeletedOrChanged) {
  kube_.put(kube::kLlmServices, object_of(kService));
  play([this]() -> Task<void> {
    co_await settled();
    kube_.erase(kube::kServices, {"default", "smollm2-kserve-workload-svc"});
    kube_.modify(kube::kDeployments, {"default", "smollm2-kserve"},
                 [](kube::Object& deployment) { kube::at(deployment, "spec.replicas") = 7; });
    co_await settled();
    EXPECT_THAT(kube_.find(kube::kServices, {"default", "smollm2-kserve-workload-svc"}), NotNull());
    const auto* deployment = kube_.find(kube::kDeployments, {"default", "smollm2-kserve"});
    EXPECT_EQ(kube::find_int(*deployment, "spec.replicas", 0), 2);
  });
}

TEST_F(OperatorTest, AMissingConfigIsReportedAndHealsWhenItAppears) {
  kube::Object service = object_of(kService);
  kube::at(service, "spec.baseRefs") = boost::json::array{kube::Object{{"name", "extra"}}};
  kube_.put(kube::kLlmServices, std::move(service));
  play([this]() -> Task<void> {
    co_await settled();
    EXPECT_THAT(condition("PresetsCombined"), HasSubstr("False ConfigNotFound"));
    EXPECT_THAT(condition("Ready"), HasSubstr("'extra'"));
    EXPECT_THAT(kube_.find(kube::kDeployments, {"default", "smollm2-kserve"}), IsNull());
    kube_.put(kube::kLlmConfigs,
              object_of("{apiVersion: serving.kserve.io/v1alpha1, kind: LLMInferenceServiceConfig,"
                        " metadata: {name: extra, namespace: default}, spec: {replicas: 5}}"));
    co_await settled();
    EXPECT_EQ(condition("PresetsCombined"), "True");
    EXPECT_THAT(kube_.find(kube::kDeployments, {"default", "smollm2-kserve"}), NotNull());
  });
}

TEST_F(OperatorTest, ReadyWaitsForAnAnswerThroughTheGateway) {
  answers_ = false;
  kube_.put(kube::kLlmServices, object_of(kService));
  play([this]() -> Task<void> {
    co_await settled();
    deployment_becomes_available();
    co_await settled();
    EXPECT_EQ(condition("Ready"),
              "False NoAnswer http://127.0.0.1:8080/default/smollm2 does not answer yet: connection refused");
  });
}

TEST_F(OperatorTest, AStoppedServiceLosesItsObjectsAndItsUrl) {
  kube_.put(kube::kLlmServices, object_of(kService));
  play([this]() -> Task<void> {
    co_await settled();
    kube_.modify(kube::kLlmServices, {"default", "smollm2"}, [](kube::Object& service) {
      kube::at(service, "metadata.annotations") = kube::Object{{"serving.kserve.io/stop", "true"}};
    });
    co_await settled();
    EXPECT_THAT(kube_.find(kube::kDeployments, {"default", "smollm2-kserve"}), IsNull());
    EXPECT_EQ(condition("Ready"), "False Stopped the service is stopped");
    const auto* service = kube_.find(kube::kLlmServices, {"default", "smollm2"});
    EXPECT_EQ(kube::find_string(*service, "status.url"), "");
  });
}

TEST_F(OperatorTest, OnOneMachineTheGatewayPicksSoASchedulerNeedsNoPods) {
  kube::Object service = object_of(kService);
  kube::at(service, "spec.router.scheduler") = kube::Object();
  kube_.put(kube::kLlmServices, std::move(service));
  play([this]() -> Task<void> {
    co_await settled();
    deployment_becomes_available();
    co_await settled();
    EXPECT_EQ(condition("Ready"), "True");
    EXPECT_THAT(kube_.find(kube::kDeployments, {"default", "smollm2-kserve-router-scheduler"}), IsNull());
    const auto* route = kube_.find(kube::kHttpRoutes, {"default", "smollm2-kserve-route"});
    EXPECT_THAT(json::write(boost::json::value(*route)), ::testing::Not(HasSubstr("InferencePool")));
  });
}

TEST_F(ClusterOperatorTest, HasSchedulerCertificatesAndAccounts) {
  kube::Object service = object_of(kService);
  kube::at(service, "spec.router.scheduler") = object_of("{config: {ref: {name: my-config, key: picker}}}");
  kube_.put(kube::kConfigMaps,
            object_of("{apiVersion: v1, kind: ConfigMap, metadata: {name: my-config, namespace: "
                      "default}, data: {picker: 'kind: EndpointPickerConfig'}}"));
  kube_.put(kube::kLlmServices, std::move(service));
  play([this]() -> Task<void> {
    co_await settled();
    const auto* secret = kube_.find(kube::kSecrets, {"default", "smollm2-kserve-self-signed-certs"});
    EXPECT_THAT(secret, NotNull());
    const auto* scheduler = kube_.find(kube::kDeployments, {"default", "smollm2-kserve-router-scheduler"});
    EXPECT_THAT(scheduler, NotNull());
    EXPECT_THAT(json::write(boost::json::value(*scheduler)), HasSubstr("kind: EndpointPickerConfig"));
    EXPECT_THAT(kube_.find(kube::kServiceAccounts, {"default", "smollm2-epp-sa"}), NotNull());
    EXPECT_THAT(kube_.find(kube::kGateways, {"kserve", "kserve-ingress-gateway"}), IsNull());
    EXPECT_EQ(condition("HTTPRoutesReady"),
              "False HTTPRoutesNotReady default/smollm2-kserve-route: no gateway has accepted it yet");
    const int before = kube_.writes;
    kube_.modify(kube::kLlmServices, {"default", "smollm2"}, [](kube::Object& changed) {
      kube::at(changed, "metadata.annotations") = kube::Object{{"note", "x"}};
    });
    co_await settled();
    EXPECT_EQ(kube_.writes, before);
  });
}

TEST_F(ClusterOperatorTest, AServiceOfGroupsIsReadyWhenAllGroupsAre) {
  kube::Object service = object_of(kService);
  kube::at(service, "spec.parallelism") = object_of("{data: 4, dataLocal: 2}");
  kube::at(service, "spec.worker") = object_of("{containers: []}");
  service["spec"].as_object().erase("router");
  kube_.put(kube::kLlmServices, std::move(service));
  play([this]() -> Task<void> {
    co_await settled();
    const kube::ObjectKey key{"default", "smollm2-kserve-mn"};
    EXPECT_THAT(kube_.find(kGroups, key), NotNull());
    EXPECT_EQ(condition("WorkerWorkloadReady"), "False Progressing 0 of 2 groups are ready");
    const auto report = [&](const char* status) {
      kube_.modify(kGroups, key, [&](kube::Object& set) { set["status"] = object_of(status); });
    };
    report("{readyReplicas: 1, conditions: [{type: Available, status: 'True'}]}");
    co_await settled();
    EXPECT_EQ(condition("WorkerWorkloadReady"), "False Progressing 1 of 2 groups are ready");
    report("{readyReplicas: 2, conditions: [{type: Available, status: 'True'}]}");
    co_await settled();
    EXPECT_EQ(condition("WorkerWorkloadReady"), "True");
    EXPECT_EQ(condition("MainWorkloadReady"), "absent");
    EXPECT_EQ(condition("Ready"), "True");
    const auto* found = kube_.find(kube::kLlmServices, {"default", "smollm2"});
    EXPECT_EQ(kube::find_int(*found, "status.workloads.primary.readyReplicas", 0), 2);
    EXPECT_EQ(kube::find_string(*found, "status.workloads.primary.kind"), "LeaderWorkerSet");
  });
}

TEST_F(ClusterOperatorTest, APoolIsReadyWhenEveryGatewayOfTheRouteHasAcceptedIt) {
  kube::Object service = object_of(kService);
  kube::at(service, "spec.router.scheduler") = kube::Object();
  kube_.put(kube::kLlmServices, std::move(service));
  play([this]() -> Task<void> {
    co_await settled();
    EXPECT_THAT(condition("InferencePoolReady"), HasSubstr("False WaitingForGateway"));
    kube_.modify(kPools, {"default", "smollm2-inference-pool"}, [](kube::Object& pool) {
      pool["status"] = object_of(
          "{parents: [{parentRef: {name: kserve-ingress-gateway, namespace: kserve}, conditions: "
          "[{type: Accepted, status: 'True', observedGeneration: 1}]}]}");
    });
    co_await settled();
    EXPECT_EQ(condition("InferencePoolReady"), "True");
  });
}

TEST_F(ClusterOperatorTest, AServiceLeavesOnlyAfterItsClusterBindingIsGone) {
  kube::Object service = object_of(kService);
  kube::at(service, "spec.router.scheduler") = kube::Object();
  kube_.put(kube::kLlmServices, std::move(service));
  play([this]() -> Task<void> {
    co_await settled();
    const kube::ObjectKey binding{"", "default-smollm2-epp-auth-rb"};
    const auto finalizers = [this] {
      const auto* found = kube_.find(kube::kLlmServices, {"default", "smollm2"});
      return json::write(boost::json::value(*kube::find_array(*found, "metadata.finalizers")));
    };
    EXPECT_EQ(finalizers(), R"(["serving.kserve.io/llmisvc-finalizer"])");
    EXPECT_THAT(kube_.find(kClusterRoleBindings, binding), NotNull());
    kube_.modify(kube::kLlmServices, {"default", "smollm2"}, [](kube::Object& leaving) {
      kube::at(leaving, "metadata.deletionTimestamp") = "2026-01-01T00:00:00Z";
    });
    co_await settled();
    EXPECT_THAT(kube_.find(kClusterRoleBindings, binding), IsNull());
    EXPECT_EQ(finalizers(), "[]");
  });
}

TEST_F(ClusterOperatorTest, MembersOfARoutingGroupNameEachOtherInTheirRoutes) {
  for (const char* name : {"one", "two"}) {
    kube::Object service = object_of(kService);
    kube::at(service, "metadata.name") = name;
    kube::at(service, "spec.router.route") = object_of("{group: shared, weight: 3}");
    kube_.put(kube::kLlmServices, std::move(service));
  }
  play([this]() -> Task<void> {
    co_await settled();
    const auto backends = [this] {
      const auto* route = kube_.find(kube::kHttpRoutes, {"default", "one-kserve-route"});
      std::string text;
      for (const auto& rule : *kube::find_array(*route, "spec.rules")) {
        if (kube::find_string(rule.get_object(), "name") == "v1-catch-all-model-routing") {
          for (const auto& backend : *kube::find_array(rule.get_object(), "backendRefs")) {
            text += fmt::format("{} {} ", kube::find_string(backend.get_object(), "name"),
                                kube::find_int(backend.get_object(), "weight", -1));
          }
        }
      }
      return text;
    };
    EXPECT_EQ(backends(), "one-kserve-workload-svc 3 two-kserve-workload-svc 3 ");
    kube_.modify(kube::kLlmServices, {"default", "two"}, [](kube::Object& stopped) {
      kube::at(stopped, "metadata.annotations") = kube::Object{{"serving.kserve.io/stop", "true"}};
    });
    co_await settled();
    EXPECT_EQ(backends(), "one-kserve-workload-svc 3 two-kserve-workload-svc 0 ");
  });
}

struct PodCase {
  const char* name;
  const char* status;
  const char* condition;
};

class PodTrouble : public OperatorTest, public ::testing::WithParamInterface<PodCase> {};

TEST_P(PodTrouble, IsNamedInTheCondition) {
  kube_.put(kube::kLlmServices, object_of(kService));
  kube::Object pod =
      object_of(R"({apiVersion: v1, kind: Pod, metadata: {name: p1, namespace: default, labels: {
      app.kubernetes.io/name: smollm2, app.kubernetes.io/part-of: llminferenceservice,
      app.kubernetes.io/component: llminferenceservice-workload}}})");
  pod["status"] = object_of(GetParam().status);
  kube_.put(kube::kPods, std::move(pod));
  play([this]() -> Task<void> {
    co_await settled();
    EXPECT_EQ(condition("MainWorkloadReady"), std::string("False ") + GetParam().condition);
  });
}

INSTANTIATE_TEST_SUITE_P(
    Table, PodTrouble,
    ::testing::Values(
        PodCase{"Image",
                "{containerStatuses: [{name: main, state: {waiting: {reason: ImageNotMapped, message: no "
                "program}}}]}",
                "ImageNotMapped 0 of 2 replicas are ready; pod p1: container 'main' has no program to run: "
                "no program"},
        PodCase{"Fetch",
                "{initContainerStatuses: [{name: storage-initializer, state: {terminated: {exitCode: 5, "
                "message: no "
                "such member}}}]}",
                "ModelFetchFailed 0 of 2 replicas are ready; pod p1: fetching the model failed: exit code 5: "
                "no such "
                "member"},
        PodCase{
            "Crash",
            "{containerStatuses: [{name: main, state: {waiting: {reason: CrashLoopBackOff}}, lastState: "
            "{terminated: {exitCode: 1, message: bad flag}}}]}",
            "CrashLoopBackOff 0 of 2 replicas are ready; pod p1: container 'main': exit code 1: bad flag"},
        PodCase{
            "Unschedulable",
            "{conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: no GPU}]}",
            "Unschedulable 0 of 2 replicas are ready; pod p1: no node takes it: no GPU"},
        PodCase{"OnItsWay",
                "{containerStatuses: [{name: main, state: {waiting: {reason: PodInitializing}}}]}",
                "Progressing 0 of 2 replicas are ready"}),
    [](const auto& param) { return std::string(param.param.name); });

}  // namespace
}  // namespace llmd::operators
