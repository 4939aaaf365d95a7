// What becomes of what routes lead to: InferencePools and BackendTLSPolicies, per Gateway.
#include "gateway/testing_status.h"

namespace llmd::gateway {
namespace {

TEST_F(Statuses, OfAPoolPerGatewayThatUsesItAndOfNoneAfterwards) {
  given(kClass);
  given(kGateway);
  given(R"(
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: pool, namespace: default}
spec: {selector: {matchLabels: {app: vllm}}, targetPorts: [{number: 8000}]}
)");
  given(route("r",
              "{parentRefs: [{name: front}], rules: [{backendRefs: [{group: inference.networking.k8s.io, "
              "kind: InferencePool, name: pool}]}]}"));
  run();
  const auto parents = [&] { return entries_of(object(kPools, "pool"), "status.parents", "parentRef"); };
  constexpr std::string_view kUsed = "front: Accepted=True Accepted; ResolvedRefs=True ResolvedRefs";
  EXPECT_EQ(settled(kUsed, parents), kUsed);
  kube_.erase(kube::kHttpRoutes, {"default", "r"});
  EXPECT_EQ(settled("", parents), "");
}

std::string policy(std::string_view name, std::string_view spec,
                   std::string_view created = "2026-01-01T00:00:00Z") {
  return fmt::format(
      "apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\n"
      "metadata: {{name: {}, namespace: default, creationTimestamp: '{}'}}\nspec: {}\n",
      name, created, spec);
}

class PolicyStatuses : public Statuses {
 protected:
  // A Gateway whose route leads to the Service that policies name.
  PolicyStatuses() {
    given(kClass);
    given(kGateway);
    given(kService);
    given(route("r", "{parentRefs: [{name: front}], rules: [{backendRefs: [{name: engine, port: 8000}]}]}"));
  }
  void expect_policy(std::string_view name, std::string_view expected) {
    const auto text = [&] {
      return entries_of(object(kBackendTlsPolicies, name), "status.ancestors", "ancestorRef");
    };
    EXPECT_EQ(settled(expected, text), expected) << name;
  }
};

constexpr std::string_view kGood = "front: Accepted=True Accepted; ResolvedRefs=True ResolvedRefs";

TEST_F(PolicyStatuses, OfOneThatIsFollowedPerGatewayAndOfNoneAfterwards) {
  given(policy("p",
               "{targetRefs: [{group: '', kind: Service, name: engine}], "
               "validation: {hostname: e.example, wellKnownCACertificates: System}}"));
  run();
  expect_policy("p", kGood);
  const auto* entry = objects_in(object(kBackendTlsPolicies, "p"), "status.ancestors").front();
  EXPECT_EQ(kube::find_string(*entry, "controllerName"), kControllerName);
  EXPECT_EQ(kube::find_string(*entry, "ancestorRef.kind"), "Gateway");
  EXPECT_EQ(kube::find_int(*objects_in(*entry, "conditions").front(), "observedGeneration", -1), 1);
  kube_.erase(kube::kHttpRoutes, {"default", "r"});
  expect_policy("p", "");
}

TEST_F(PolicyStatuses, OfEveryWayAPolicyCanBeWrong) {
  struct Row {
    std::string_view what;
    std::string_view spec;
    std::string_view conditions;
  };
  const Row rows[] = {
      {"no map", "validation: {hostname: e, caCertificateRefs: [{group: '', kind: ConfigMap, name: nobody}]}",
       "Accepted=False NoValidCACertificate; ResolvedRefs=False InvalidCACertificateRef"},
      {"no key", "validation: {hostname: e, caCertificateRefs: [{group: '', kind: ConfigMap, name: empty}]}",
       "Accepted=False NoValidCACertificate; ResolvedRefs=False InvalidCACertificateRef"},
      {"garbage",
       "validation: {hostname: e, caCertificateRefs: [{group: '', kind: ConfigMap, name: garbage}]}",
       "Accepted=False NoValidCACertificate; ResolvedRefs=False InvalidCACertificateRef"},
      {"kind", "validation: {hostname: e, caCertificateRefs: [{group: '', kind: Secret, name: s}]}",
       "Accepted=False NoValidCACertificate; ResolvedRefs=False InvalidKind"},
      {"nobody trusted", "validation: {hostname: e}",
       "Accepted=False Invalid; ResolvedRefs=True ResolvedRefs"},
      {"other names",
       "validation: {hostname: e, wellKnownCACertificates: System, "
       "subjectAltNames: [{type: URI, uri: 'spiffe://a/b'}]}",
       "Accepted=False Invalid; ResolvedRefs=True ResolvedRefs"},
  };
  given(R"(
apiVersion: v1
kind: ConfigMap
metadata: {name: empty, namespace: default}
data: {other: x}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: garbage, namespace: default}
data: {ca.crt: hello}
)");
  run();
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    given(policy("p",
                 fmt::format("{{targetRefs: [{{group: '', kind: Service, name: engine}}], {}}}", row.spec)));
    expect_policy("p", fmt::format("front: {}", row.conditions));
    // A backend that cannot be known gets nothing, which its route says.
    expect_route("r", "Accepted=True Accepted; ResolvedRefs=False InvalidBackendTLSPolicy");
  }
}

TEST_F(PolicyStatuses, OfSeveralForTheSameTarget) {
  constexpr std::string_view kWhole =
      "{targetRefs: [{group: '', kind: Service, name: engine}], "
      "validation: {hostname: e.example, wellKnownCACertificates: System}}";
  constexpr std::string_view kPort =
      "{targetRefs: [{group: '', kind: Service, name: engine, sectionName: SECTION}], "
      "validation: {hostname: e.example, wellKnownCACertificates: System}}";
  const auto of_port = [&](std::string_view port) {
    std::string text(kPort);
    return text.replace(text.find("SECTION"), 7, port);
  };
  given(R"(
apiVersion: v1
kind: Service
metadata: {name: engine, namespace: default}
spec: {ports: [{name: http, port: 8000}]}
)");
  given(policy("younger", kWhole, "2026-01-02T00:00:00Z"));
  given(policy("older", kWhole));
  given(policy("same-age", kWhole));
  given(policy("of-a-port", of_port("http"), "2026-01-03T00:00:00Z"));
  given(policy("of-no-port", of_port("grpc"), "2026-01-03T00:00:00Z"));
  run();
  expect_policy("older", kGood);
  expect_policy("younger", "front: Accepted=False Conflicted; ResolvedRefs=True ResolvedRefs");
  expect_policy("same-age", "front: Accepted=False Conflicted; ResolvedRefs=True ResolvedRefs");
  expect_policy("of-a-port", kGood);  // says more than those that name the whole Service
  expect_policy("of-no-port", "front: Accepted=False TargetNotFound; ResolvedRefs=True ResolvedRefs");
  kube_.erase(kBackendTlsPolicies, {"default", "older"});
  expect_policy("same-age", kGood);
}

}  // namespace
}  // namespace llmd::gateway
