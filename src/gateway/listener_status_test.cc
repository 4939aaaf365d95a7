// What becomes of Gateways and their listeners in an API server.
#include "gateway/testing_status.h"

namespace llmd::gateway {
namespace {

TEST_F(Statuses, OfListenersThatCannotBeServed) {
  given(kClass);
  given(R"(
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: many, namespace: default}
spec:
  gatewayClassName: llmd
  listeners:
  - {name: good, port: 80, protocol: HTTP}
  - {name: protocol, port: 81, protocol: UDP}
  - {name: kinds, port: 82, protocol: HTTP, allowedRoutes: {kinds: [{kind: TCPRoute}]}}
  - {name: some-kinds, port: 83, protocol: HTTP, allowedRoutes: {kinds: [{kind: TCPRoute}, {kind: HTTPRoute}]}}
  - {name: no-secret, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: nobody}]}}
  - {name: far-secret, port: 444, protocol: HTTPS, tls: {certificateRefs: [{name: s, namespace: other}]}}
  - {name: bad-secret, port: 445, protocol: HTTPS, tls: {certificateRefs: [{name: bad}]}}
  - {name: twin, port: 90, protocol: HTTP, hostname: a.example}
  - {name: other-twin, port: 90, protocol: HTTP, hostname: a.example}
---
apiVersion: v1
kind: Secret
metadata: {name: bad, namespace: default}
data: {tls.crt: aGVsbG8=, tls.key: aGVsbG8=}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: none, namespace: default}
spec: {gatewayClassName: llmd, listeners: [{name: tcp, port: 80, protocol: TCP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: parameters, namespace: default}
spec:
  gatewayClassName: llmd
  infrastructure: {parametersRef: {group: x, kind: y, name: z}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
)");
  run();
  constexpr std::string_view kBad = "Programmed=False Invalid";
  const auto row = [&](std::string_view accepted, std::string_view resolved, std::string_view conflicted,
                       std::string_view programmed) {
    return fmt::format("Accepted={}; Conflicted={}; ResolvedRefs={}; {}", accepted, conflicted, resolved,
                       programmed);
  };
  constexpr std::string_view kYes = "True Accepted";
  constexpr std::string_view kNone = "False NoConflicts";
  expect_listener("many", 0, row(kYes, "True ResolvedRefs", kNone, "Programmed=True Programmed"));
  expect_listener("many", 1, row("False UnsupportedProtocol", "True ResolvedRefs", kNone, kBad));
  expect_listener("many", 2, row(kYes, "False InvalidRouteKinds", kNone, kBad));
  expect_listener("many", 3, row(kYes, "False InvalidRouteKinds", kNone, "Programmed=True Programmed"));
  expect_listener("many", 4, row(kYes, "False InvalidCertificateRef", kNone, kBad));
  expect_listener("many", 5, row(kYes, "False RefNotPermitted", kNone, kBad));
  expect_listener("many", 6, row(kYes, "False InvalidCertificateRef", kNone, kBad));
  expect_listener("many", 7, row(kYes, "True ResolvedRefs", "True HostnameConflict", kBad));
  expect_listener("many", 8, row(kYes, "True ResolvedRefs", "True HostnameConflict", kBad));
  expect_gateway("many", "Accepted=True ListenersNotValid; Programmed=True Programmed");
  expect_gateway("none", "Accepted=False ListenersNotValid; Programmed=False Invalid");
  expect_gateway("parameters", "Accepted=False InvalidParameters; Programmed=False Invalid");
}

TEST_F(Statuses, OfGatewaysOfOtherClassesAreLeftAlone) {
  given(R"(
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: other}
spec: {controllerName: example.com/other}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: theirs, namespace: default}
spec: {gatewayClassName: other, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: unclassed, namespace: default}
spec: {gatewayClassName: missing, listeners: [{name: http, port: 80, protocol: HTTP}]}
)");
  given(kClass);
  given(kGateway);
  run();
  expect_gateway("front", "Accepted=True Accepted; Programmed=True Programmed");
  EXPECT_FALSE(object(kube::kGateways, "theirs").contains("status"));
  EXPECT_FALSE(object(kube::kGateways, "unclassed").contains("status"));
  EXPECT_FALSE(object(kube::kGatewayClasses, "other").contains("status"));
}

TEST_F(Statuses, OnOneMachineEveryGatewayWithoutAClassIsOurs) {
  given(kGateway);
  given(route("r", "{parentRefs: [{name: front}], rules: [{}]}"));
  run({.alone = true, .address = "gw.example"});
  expect_gateway("front", "Accepted=True Accepted; Programmed=True Programmed");
  expect_route("r", "Accepted=True Accepted; ResolvedRefs=True ResolvedRefs");
  const auto& front = object(kube::kGateways, "front");
  EXPECT_EQ(kube::find_string(*objects_in(front, "status.addresses").front(), "type"), "Hostname");
}

}  // namespace
}  // namespace llmd::gateway
