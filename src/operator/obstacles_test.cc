// What stands between a service and its objects on a cluster, and which presets it keeps.
#include "operator/testing_operator.h"

namespace llmd::operators {
namespace {

// ---- What a cluster does not have, or does not change.

TEST_F(ClusterOperatorTest, OptionalKindsAreRenderedOnlyWhereTheyAreServed) {
  kube::Object service = object_of(kService);
  kube::at(service, "spec.router.scheduler") = kube::Object();
  kube::at(service, "spec.model.criticality") = "Critical";
  kube::at(service, "metadata.annotations") = kube::Object{{"serving.kserve.io/monitoring", "true"}};
  kube_.absent_kinds = {"inference.networking.x-k8s.io/inferencemodels", "monitoring.coreos.com/podmonitors"};
  kube_.put(kube::kLlmServices, std::move(service));
  play([this]() -> Task<void> {
    co_await settled();
    EXPECT_THAT(kube_.find(kObjectives, {"default", "smollm2-inference-objective"}), NotNull());
    EXPECT_THAT(kube_.find(kModels, {"default", "smollm2-inference-model"}), IsNull());
    EXPECT_THAT(condition("MonitoringReady"), HasSubstr("False MonitoringCRDNotFound"));
    EXPECT_THAT(condition("MainWorkloadReady"), HasSubstr("False Progressing"));
  });
}

TEST_F(ClusterOperatorTest, WithoutPoolsARouteLeadsToTheServersThemselves) {
  kube::Object service = object_of(kService);
  kube::at(service, "spec.router.scheduler") = kube::Object();
  kube_.absent_kinds = {"inference.networking.x-k8s.io/inferencepools",
                        "inference.networking.k8s.io/inferencepools"};
  kube_.put(kube::kLlmServices, std::move(service));
  play([this]() -> Task<void> {
    co_await settled();
    const auto* route = kube_.find(kube::kHttpRoutes, {"default", "smollm2-kserve-route"});
    EXPECT_THAT(json::write(boost::json::value(*route)), ::testing::Not(HasSubstr("InferencePool")));
    EXPECT_THAT(kube_.find(kPools, {"default", "smollm2-inference-pool"}), IsNull());
  });
}

struct AbsentKind {
  const char* name;
  const char* kind;
  const char* spec;  // members of the service's
  const char* condition;
  const char* text;
};
class AbsentDefinition : public ClusterOperatorTest, public ::testing::WithParamInterface<AbsentKind> {};

TEST_P(AbsentDefinition, IsACondition) {
  kube::Object service = object_of(kService);
  for (const auto& member : object_of(GetParam().spec)) {
    service["spec"].as_object()[member.key()] = member.value();
  }
  if (service["spec"].as_object().contains("scaling")) {
    service["spec"].as_object().erase("replicas");
  }
  kube_.absent_kinds = {GetParam().kind};
  kube_.put(kube::kLlmServices, std::move(service));
  play([this]() -> Task<void> {
    co_await settled();
    EXPECT_EQ(condition(GetParam().condition), std::string("False ") + GetParam().text);
    EXPECT_THAT(condition("Ready"), HasSubstr("False "));
    EXPECT_THAT(kube_.find(kube::kServices, {"default", "smollm2-kserve-workload-svc"}), NotNull())
        << "everything else is there";
  });
}

INSTANTIATE_TEST_SUITE_P(
    Table, AbsentDefinition,
    ::testing::Values(
        AbsentKind{"Groups", "leaderworkerset.x-k8s.io/leaderworkersets",
                   "{worker: {containers: []}, parallelism: {data: 4, dataLocal: 2}}", "WorkerWorkloadReady",
                   "LeaderWorkerSetCRDNotFound the cluster does not know the kind LeaderWorkerSet: install "
                   "LeaderWorkerSet, or remove worker"},
        AbsentKind{
            "Routes", "gateway.networking.k8s.io/httproutes", "{}", "HTTPRoutesReady",
            "HTTPRouteCRDNotFound the cluster does not know the kind HTTPRoute: install the Gateway API, "
            "or remove router.route"},
        AbsentKind{"Scaling", "llmd.ai/variantautoscalings", "{scaling: {maxReplicas: 4, wva: {hpa: {}}}}",
                   "ScalingReady",
                   "ScalingCRDNotFound the cluster does not know the kind VariantAutoscaling: install its "
                   "controller, or replace scaling by replicas"},
        AbsentKind{
            "Keda", "keda.sh/scaledobjects", "{scaling: {maxReplicas: 4, wva: {keda: {}}}}", "ScalingReady",
            "ScalingCRDNotFound the cluster does not know the kind ScaledObject: install its controller, "
            "or replace scaling by replicas"}),
    [](const auto& param) { return std::string(param.param.name); });

TEST_F(ClusterOperatorTest, AnotherGroupSizeLeavesTheRunningGroupsAndSaysWhatToDo) {
  kube::Object service = object_of(kService);
  kube::at(service, "spec.parallelism") = object_of("{data: 4, dataLocal: 2}");
  kube::at(service, "spec.worker") = object_of("{containers: []}");
  kube_.put(kube::kLlmServices, std::move(service));
  play([this]() -> Task<void> {
    co_await settled();
    kube_.modify(kube::kLlmServices, {"default", "smollm2"},
                 [](kube::Object& changed) { kube::at(changed, "spec.parallelism.dataLocal") = 1; });
    co_await settled();
    EXPECT_EQ(
        condition("WorkerWorkloadReady"),
        "False GroupSizeChanged the size of a group cannot be changed in place: 2 pods before, 4 pods now; "
        "the running groups stay: delete the service and create it anew, or create one of another name");
    const auto* group = kube_.find(kGroups, {"default", "smollm2-kserve-mn"});
    EXPECT_THAT(group, NotNull());
    EXPECT_EQ(kube::find_int(*group, "spec.leaderWorkerTemplate.size", 0), 2);
  });
}

// ---- Presets that a service keeps.

TEST_F(ClusterOperatorTest, AServiceIsPinnedToThePresetsOfItsFirstPass) {
  kube::Object service = object_of(kService);
  service["status"] =
      object_of("{annotations: {serving.kserve.io/config-llm-template: older-config-llm-template}}");
  kube_.put(kube::kLlmServices, std::move(service));
  kube_.put(
      kube::kLlmConfigs,
      object_of("{apiVersion: serving.kserve.io/v1alpha2, kind: LLMInferenceServiceConfig, metadata: {name: "
                "older-config-llm-template, namespace: kserve}, spec: {annotations: {generation: older}}}"));
  play([this]() -> Task<void> {
    co_await settled();
    const auto* deployment = kube_.find(kube::kDeployments, {"default", "smollm2-kserve"});
    EXPECT_EQ(kube::find_string(*deployment, "spec.template.metadata.annotations.generation"), "older");
    const auto* found = kube_.find(kube::kLlmServices, {"default", "smollm2"});
    const auto* pins = kube::find_object(*found, "status.annotations");
    EXPECT_EQ(pins->at("serving.kserve.io/config-llm-template"), "older-config-llm-template");
    EXPECT_EQ(pins->at("serving.kserve.io/config-llm-scheduler"), "kserve-config-llm-scheduler");
  });
}

TEST_F(ClusterOperatorTest, AStoppedServiceGoesAwayAlsoWhenItsConfigIsGone) {
  kube::Object service = object_of(kService);
  kube::at(service, "spec.baseRefs") = boost::json::array{kube::Object{{"name", "extra"}}};
  kube_.put(kube::kLlmServices, std::move(service));
  kube_.put(kube::kLlmConfigs,
            object_of("{apiVersion: serving.kserve.io/v1alpha1, kind: LLMInferenceServiceConfig,"
                      " metadata: {name: extra, namespace: default}, spec: {replicas: 5}}"));
  play([this]() -> Task<void> {
    co_await settled();
    EXPECT_THAT(kube_.find(kube::kDeployments, {"default", "smollm2-kserve"}), NotNull());
    kube_.erase(kube::kLlmConfigs, {"default", "extra"});
    co_await settled();
    const auto applied = [this] {
      return kube::find_array(*kube_.find(kube::kLlmServices, {"default", "smollm2"}),
                              "status.appliedConfigs");
    };
    EXPECT_THAT(applied(), IsNull());
    EXPECT_THAT(kube_.find(kube::kDeployments, {"default", "smollm2-kserve"}), NotNull())
        << "what runs goes on";
    kube_.modify(kube::kLlmServices, {"default", "smollm2"}, [](kube::Object& stopping) {
      kube::at(stopping, "metadata.annotations") = kube::Object{{"serving.kserve.io/stop", "true"}};
    });
    co_await settled();
    EXPECT_THAT(kube_.find(kube::kDeployments, {"default", "smollm2-kserve"}), IsNull());
    EXPECT_EQ(condition("PresetsCombined"), "False Stopped the service is stopped");
  });
}

TEST_F(ClusterOperatorTest, AppliedConfigsStayWhileAServiceIsStopped) {
  kube_.put(kube::kLlmServices, object_of(kService));
  play([this]() -> Task<void> {
    co_await settled();
    kube_.modify(kube::kLlmServices, {"default", "smollm2"}, [](kube::Object& stopping) {
      kube::at(stopping, "metadata.annotations") = kube::Object{{"serving.kserve.io/stop", "true"}};
    });
    co_await settled();
    const auto* applied =
        kube::find_array(*kube_.find(kube::kLlmServices, {"default", "smollm2"}), "status.appliedConfigs");
    EXPECT_THAT(applied, NotNull());
    EXPECT_EQ(kube::find_string(applied->front().get_object(), "name"), "kserve-config-llm-router-route");
  });
}

// ---- Settings of the cluster.

TEST_F(ClusterOperatorTest, KServesSettingsAreFollowed) {
  kube_.put(kube::kConfigMaps,
            object_of(R"({apiVersion: v1, kind: ConfigMap, metadata: {name: inferenceservice-config,
    namespace: kserve}, data: {ingress: '{"kserveIngressGateway": "net/edge", "enableLLMInferenceServiceTLS": true}'}})"));
  kube_.put(kube::kLlmServices, object_of(kService));
  play([this]() -> Task<void> {
    co_await settled();
    const auto text = [this](const kube::Resource& resource, const char* name) {
      const auto* found = kube_.find(resource, {"default", name});
      return found == nullptr ? std::string() : json::write(boost::json::value(*found));
    };
    EXPECT_THAT(text(kube::kDeployments, "smollm2-kserve"), HasSubstr("--ssl-certfile"));
    EXPECT_THAT(text(kube::kHttpRoutes, "smollm2-kserve-route"),
                HasSubstr(R"("name":"edge","namespace":"net")"));
  });
}

TEST_F(ClusterOperatorTest, AGatewayThatOptsOutGetsNoRulesByModel) {
  kube_.put(kube::kLlmServices, object_of(kService));
  play([this]() -> Task<void> {
    co_await settled();
    const auto rules = [this] {
      return json::write(boost::json::value(
          *kube_.find(kube::kHttpRoutes, {"default", "smollm2-kserve-route"})->if_contains("spec")));
    };
    EXPECT_THAT(rules(), HasSubstr("v1-catch-all-model-routing"));
    kube_.put(kube::kGateways,
              object_of("{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: "
                        "kserve-ingress-gateway, namespace: kserve, annotations: "
                        "{serving.kserve.io/model-based-routing-enabled: 'false'}}, spec: {}}"));
    co_await settled();
    EXPECT_THAT(rules(), ::testing::Not(HasSubstr("v1-catch-all-model-routing")));
  });
}

// ---- Autoscalers.

struct ScalerCase {
  const char* name;
  const char* status;  // of the autoscaler
  const char* condition;
};
class Scaler : public ClusterOperatorTest, public ::testing::WithParamInterface<ScalerCase> {
 protected:
  void expect(const kube::Resource& resource, const char* scaling, const char* name) {
    kube::Object service = object_of(kService);
    service["spec"].as_object().erase("replicas");
    kube::at(service, "spec.scaling") = object_of(scaling);
    kube_.put(kube::kLlmServices, std::move(service));
    play([this, &resource, name]() -> Task<void> {
      co_await settled();
      EXPECT_THAT(kube_.find(resource, {"default", name}), NotNull());
      kube_.modify(resource, {"default", name},
                   [](kube::Object& scaler) { scaler["status"] = object_of(GetParam().status); });
      co_await settled();
      EXPECT_EQ(condition("ScalingReady"), GetParam().condition);
    });
  }
};
class KedaScaler : public Scaler {};

TEST_P(Scaler, OfKubernetesIsReportedAsItReportsItself) {
  expect(kAutoscalers, "{maxReplicas: 4, wva: {hpa: {}}}", "smollm2-kserve-hpa");
}
TEST_P(KedaScaler, IsReportedAsItReportsItself) {
  expect(kScaledObjects, "{maxReplicas: 4, wva: {keda: {}}}", "smollm2-kserve-keda");
}

INSTANTIATE_TEST_SUITE_P(
    Table, Scaler,
    ::testing::Values(
        ScalerCase{"Silent", "{}", "Unknown HPAProgressing the autoscaler has not been looked at yet"},
        ScalerCase{
            "Working",
            "{conditions: [{type: AbleToScale, status: 'True'}, {type: ScalingActive, status: 'True'}]}",
            "True"},
        ScalerCase{
            "NoMetric",
            "{conditions: [{type: AbleToScale, status: 'True'}, {type: ScalingActive, status: 'False', "
            "reason: FailedGetExternalMetric, message: no metric}]}",
            "False FailedGetExternalMetric no metric"},
        ScalerCase{
            "NoTarget",
            "{conditions: [{type: AbleToScale, status: 'False', reason: FailedGetScale, message: gone}]}",
            "False FailedGetScale gone"}),
    [](const auto& param) { return std::string(param.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Table, KedaScaler,
    ::testing::Values(
        ScalerCase{"Silent", "{}", "Unknown ScaledObjectProgressing KEDA has not looked at it yet"},
        ScalerCase{"Working", "{conditions: [{type: Ready, status: 'True'}]}", "True"},
        ScalerCase{
            "Broken",
            "{conditions: [{type: Ready, status: 'False', reason: ScaledObjectCheckFailed, message: no "
            "server}]}",
            "False ScaledObjectCheckFailed no server"}),
    [](const auto& param) { return std::string(param.param.name); });

// ---- Neighbours.

class Neighbourhood : public ClusterOperatorTest {
 protected:
  void put_service(const char* name, const char* model, const char* route) {
    kube::Object service = object_of(kService);
    kube::at(service, "metadata.name") = name;
    kube::at(service, "spec.model.name") = model;
    kube::at(service, "spec.router.route") = object_of(route);
    kube_.put(kube::kLlmServices, std::move(service));
  }
  std::string condition_of(const char* name, std::string_view type) {
    const auto* found = kube::find_condition(*kube_.find(kube::kLlmServices, {"default", name}), type);
    return found == nullptr ? "absent"
                            : fmt::format("{} {}", kube::find_string(*found, "status"),
                                          kube::find_string(*found, "message"));
  }
};

TEST_F(Neighbourhood, TwoServicesOfOneModelNameAreToldOfEachOther) {
  put_service("one", "m", "{}");
  put_service("two", "m", "{}");
  put_service("other", "n", "{}");
  play([this]() -> Task<void> {
    co_await settled();
    EXPECT_EQ(condition_of("one", "ModelNameCollision"),
              "True service 'two' also serves 'm': requests for that name may reach either");
    EXPECT_EQ(condition_of("two", "ModelNameCollision"),
              "True service 'one' also serves 'm': requests for that name may reach either");
    EXPECT_EQ(condition_of("other", "ModelNameCollision"), "absent");
    kube_.erase(kube::kLlmServices, {"default", "two"});
    co_await settled();
    EXPECT_EQ(condition_of("one", "ModelNameCollision"), "absent");
  });
}

TEST_F(Neighbourhood, MembersOfAGroupMayShareTheirName) {
  put_service("one", "m", "{group: g, weight: 1}");
  put_service("two", "m", "{group: g, weight: 1}");
  play([this]() -> Task<void> {
    co_await settled();
    EXPECT_EQ(condition_of("one", "ModelNameCollision"), "absent");
    EXPECT_EQ(condition_of("one", "GroupReady"), "True ");
    EXPECT_EQ(condition_of("one", "GroupDegraded"), "False ");
  });
}

TEST_F(Neighbourhood, AMemberOfAnotherModelIsLeftOutOfTheGroup) {
  put_service("one", "m", "{group: g, weight: 1}");
  put_service("two", "m", "{group: g, weight: 1}");
  put_service("three", "n", "{group: g, weight: 1}");
  play([this]() -> Task<void> {
    co_await settled();
    EXPECT_EQ(condition_of("one", "GroupDegraded"),
              "True left out, because they serve other models than 'm' and its adapters: three");
    const auto* route = kube_.find(kube::kHttpRoutes, {"default", "one-kserve-route"});
    const std::string text = json::write(boost::json::value(*route));
    EXPECT_THAT(text, HasSubstr("two-kserve-workload-svc"));
    EXPECT_THAT(text, ::testing::Not(HasSubstr("three-kserve-workload-svc")));
  });
}

}  // namespace
}  // namespace llmd::operators
