// What becomes of routes in an API server: every condition per parent.
#include "gateway/testing_status.h"

namespace llmd::gateway {
namespace {

TEST_F(Statuses, OfARouteThatIsServed) {
  given(kClass);
  given(kGateway);
  given(kService);
  given(route("good", "{parentRefs: [{name: front}], rules: [{backendRefs: [{name: engine, port: 8000}]}]}"));
  run();
  expect_route("good", "Accepted=True Accepted; ResolvedRefs=True ResolvedRefs");
  expect_gateway("front", "Accepted=True Accepted; Programmed=True Programmed");
  expect_listener("front", 0,
                  "Accepted=True Accepted; Conflicted=False NoConflicts; ResolvedRefs=True ResolvedRefs; "
                  "Programmed=True Programmed");
  const auto& front = object(kube::kGateways, "front");
  EXPECT_EQ(kube::find_string(*objects_in(front, "status.addresses").front(), "value"), "10.0.0.1");
  EXPECT_EQ(kube::find_string(*objects_in(front, "status.addresses").front(), "type"), "IPAddress");
  EXPECT_EQ(kube::find_int(*objects_in(front, "status.listeners").front(), "attachedRoutes", -1), 1);
  const auto* parent = objects_in(object(kube::kHttpRoutes, "good"), "status.parents").front();
  EXPECT_EQ(kube::find_string(*parent, "controllerName"), kControllerName);
  EXPECT_EQ(kube::find_string(*parent, "parentRef.name"), "front");
  EXPECT_EQ(kube::find_int(*objects_in(*parent, "conditions").front(), "observedGeneration", -1), 1);
  EXPECT_EQ(conditions_of(kube::find_object(object(kube::kGatewayClasses, "llmd"), "status")),
            "Accepted=True Accepted");
}

TEST_F(Statuses, OfAGrpcRoute) {
  given(kClass);
  given(kGateway);
  given(kService);
  given(R"(apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls, namespace: default}
spec:
  parentRefs: [{name: front}]
  rules:
  - matches: [{method: {service: test.Echo}}]
    backendRefs: [{name: engine, port: 8000}, {name: nobody, port: 8000}]
)");
  run();
  const std::string_view expected = "Accepted=True Accepted; ResolvedRefs=False BackendNotFound";
  EXPECT_EQ(settled(expected,
                    [&] {
                      const auto parents = objects_in(object(kGrpcRoutes, "calls"), "status.parents");
                      return parents.empty() ? std::string("none") : conditions_of(parents.front());
                    }),
            expected);
  EXPECT_EQ(kube::find_int(*objects_in(object(kube::kGateways, "front"), "status.listeners").front(),
                           "attachedRoutes", -1),
            1);
}

struct RouteRow {
  std::string_view name;
  std::string_view spec;
  std::string_view conditions;
};

TEST_F(Statuses, OfEveryWayARouteCanBeWrong) {
  const RouteRow rows[] = {
      {"missing-backend", "{parentRefs: [{name: front}], rules: [{backendRefs: [{name: nobody, port: 1}]}]}",
       "Accepted=True Accepted; ResolvedRefs=False BackendNotFound"},
      {"kind", "{parentRefs: [{name: front}], rules: [{backendRefs: [{kind: Bucket, group: x.y, name: b}]}]}",
       "Accepted=True Accepted; ResolvedRefs=False InvalidKind"},
      {"far", "{parentRefs: [{name: front}], rules: [{backendRefs: [{name: e, namespace: other, port: 1}]}]}",
       "Accepted=True Accepted; ResolvedRefs=False RefNotPermitted"},
      {"protocol", "{parentRefs: [{name: front}], rules: [{backendRefs: [{name: grpc, port: 9000}]}]}",
       "Accepted=True Accepted; ResolvedRefs=False UnsupportedProtocol"},
      {"section",
       "{parentRefs: [{name: front, sectionName: x}], rules: [{backendRefs: [{name: engine, port: 8000}]}]}",
       "Accepted=False NoMatchingParent; ResolvedRefs=True ResolvedRefs"},
      {"host", "{parentRefs: [{name: narrow}], hostnames: [b.example]}",
       "Accepted=False NoMatchingListenerHostname; ResolvedRefs=True ResolvedRefs"},
      {"closed", "{parentRefs: [{name: closed}]}",
       "Accepted=False NotAllowedByListeners; ResolvedRefs=True ResolvedRefs"},
      {"regex",
       "{parentRefs: [{name: front}], rules: [{matches: [{path: {type: RegularExpression, value: '('}}]}]}",
       "Accepted=False UnsupportedValue; ResolvedRefs=True ResolvedRefs"},
      {"half",
       "{parentRefs: [{name: front}], rules: [{matches: [{path: {type: RegularExpression, value: '('}}]}, "
       "{}]}",
       "Accepted=True Accepted; ResolvedRefs=True ResolvedRefs; PartiallyInvalid=True UnsupportedValue"},
      {"filters",
       "{parentRefs: [{name: front}], rules: [{filters: [{type: URLRewrite}, {type: RequestRedirect}]}]}",
       "Accepted=False IncompatibleFilters; ResolvedRefs=True ResolvedRefs"},
      {"theirs", "{parentRefs: [{name: elsewhere}]}", "none"},
  };
  given(kClass);
  given(kGateway);
  given(kService);
  given(R"(
apiVersion: v1
kind: Service
metadata: {name: grpc, namespace: default}
spec: {ports: [{port: 9000, appProtocol: kubernetes.io/wss}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: narrow, namespace: default}
spec: {gatewayClassName: llmd, listeners: [{name: http, port: 80, protocol: HTTP, hostname: a.example}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: closed, namespace: default}
spec:
  gatewayClassName: llmd
  listeners:
  - {name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {a: b}}}}}
)");
  for (const RouteRow& row : rows) {
    given(route(row.name, row.spec));
  }
  run();
  for (const RouteRow& row : rows) {
    expect_route(row.name, row.conditions);
  }
}

}  // namespace
}  // namespace llmd::gateway
