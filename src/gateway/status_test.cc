// What becomes of objects in an API server: every condition of every object per parent, through KubeSource.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/scope.h"
#include "base/log.h"
#include "gateway/fields.h"
#include "gateway/kinds.h"
#include "gateway/kube_source.h"
#include "json/yaml.h"
#include "testing/fake_kube.h"

namespace llmd::gateway {
namespace {

using std::chrono::milliseconds;

const kube::Resource& resource_of(const kube::Object& object) {
  static const kube::Resource kinds[] = {kReferenceGrants, kPools, kGrpcRoutes};
  for (const kube::Resource& kind : kinds) {
    if (kind.kind == kube::kind_of(object)) {
      return kind;
    }
  }
  return *kube::find_resource(kube::api_version_of(object), kube::kind_of(object));
}

constexpr std::string_view kClass = R"(
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: llmd}
spec: {controllerName: llmd.dev/gateway-controller}
)";
constexpr std::string_view kGateway = R"(
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: front, namespace: default}
spec: {gatewayClassName: llmd, listeners: [{name: http, port: 80, protocol: HTTP}]}
)";
constexpr std::string_view kService = R"(
apiVersion: v1
kind: Service
metadata: {name: engine, namespace: default}
spec: {ports: [{port: 8000}]}
)";

class Statuses : public ::testing::Test {
 protected:
  Statuses() {
    log::configure(log::Level::Off);
    gateway_.listen({"127.0.0.1", 0}).value();
  }
  ~Statuses() override {
    loop_.block_on(scope_.close());
    log::configure(log::Level::Info);
  }
  void given(std::string_view yaml) {
    for (auto& document : json::parse_yaml(yaml, "test").value()) {
      kube_.put(resource_of(document.value.as_object()), document.value.as_object());
    }
  }
  void run(KubeSourceOptions options = {.alone = false, .address = "10.0.0.1"}) {
    source_ = std::make_unique<KubeSource>(loop_, kube_, gateway_, std::move(options));
    scope_.spawn("source", source_->run());
  }
  const kube::Object& object(const kube::Resource& resource, std::string_view name) {
    const std::string name_space = resource.namespaced ? "default" : "";
    return *kube_.find(resource, {name_space, std::string(name)});
  }
  // "Accepted=True Accepted; ResolvedRefs=..." once the text says `expected`, or what it says after a while.
  std::string settled(std::string_view expected, const std::function<std::string()>& text) {
    for (int i = 0; i < 1000 && text() != expected; ++i) {
      loop_.block_on(async::sleep(milliseconds(2)));
    }
    return text();
  }
  static std::string conditions_of(const kube::Object* holder) {
    std::string text;
    if (holder != nullptr) {
      for (const kube::Object* each : objects_in(*holder, "conditions")) {
        text += fmt::format("{}{}={} {}", text.empty() ? "" : "; ", kube::find_string(*each, "type"),
                            kube::find_string(*each, "status"), kube::find_string(*each, "reason"));
      }
    }
    return text;
  }
  void expect_route(std::string_view name, std::string_view expected) {
    EXPECT_EQ(settled(expected,
                      [&] {
                        const auto parents = objects_in(object(kube::kHttpRoutes, name), "status.parents");
                        return parents.empty() ? std::string("none") : conditions_of(parents.front());
                      }),
              expected)
        << name;
  }
  void expect_gateway(std::string_view name, std::string_view expected) {
    EXPECT_EQ(
        settled(expected,
                [&] { return conditions_of(kube::find_object(object(kube::kGateways, name), "status")); }),
        expected)
        << name;
  }
  void expect_listener(std::string_view gateway, std::size_t number, std::string_view expected) {
    EXPECT_EQ(settled(expected,
                      [&] {
                        const auto all = objects_in(object(kube::kGateways, gateway), "status.listeners");
                        return all.size() <= number ? std::string("none") : conditions_of(all[number]);
                      }),
              expected)
        << gateway << " " << number;
  }

  async::EventLoop loop_;
  async::Scope scope_{loop_};
  testing::FakeKube kube_{loop_};
  Gateway gateway_{loop_, {}};
  std::unique_ptr<KubeSource> source_;
};

std::string route(std::string_view name, std::string_view spec) {
  return fmt::format(
      "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
      "metadata: {{name: {}, namespace: default}}\nspec: {}\n",
      name, spec);
}

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

TEST_F(Statuses, NameTheGenerationTheyWereMadeFor) {
  given(kClass);
  given(kGateway);
  run();
  expect_gateway("front", "Accepted=True Accepted; Programmed=True Programmed");
  std::string changed(kGateway);
  changed.replace(changed.find("port: 80,"), 9, "port: 81,");
  given(changed);
  EXPECT_EQ(settled("2",
                    [&] {
                      const auto& front = object(kube::kGateways, "front");
                      const auto* accepted = objects_in(front, "status.conditions").front();
                      return std::to_string(kube::find_int(*accepted, "observedGeneration", -1));
                    }),
            "2");
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

TEST_F(Statuses, AreWrittenOnceAndKeepWhatOthersWrote) {
  given(kClass);
  given(kGateway);
  given(kService);
  auto written = json::parse_yaml(route("shared", "{parentRefs: [{name: front}], rules: [{}]}"), "test")
                     .value()
                     .front()
                     .value.as_object();
  written["status"] =
      json::parse_yaml(
          "parents: [{controllerName: example.com/other, parentRef: {name: theirs}, conditions: []}]", "test")
          .value()
          .front()
          .value;
  kube_.put(kube::kHttpRoutes, written);
  run();
  EXPECT_EQ(settled("2",
                    [&] {
                      return std::to_string(
                          objects_in(object(kube::kHttpRoutes, "shared"), "status.parents").size());
                    }),
            "2");
  expect_gateway("front", "Accepted=True Accepted; Programmed=True Programmed");
  const int writes = kube_.writes;
  given(kService);  // a change that changes nothing of any status
  loop_.block_on(async::sleep(milliseconds(50)));
  EXPECT_EQ(kube_.writes, writes);
  // The route turns to another Gateway: our entry goes, theirs stays.
  kube_.modify(kube::kHttpRoutes, {"default", "shared"}, [](kube::Object& object) {
    kube::at(object, "spec.parentRefs") = boost::json::array{kube::Object{{"name", "theirs"}}};
  });
  EXPECT_EQ(
      settled("example.com/other",
              [&] {
                std::string names;
                for (const auto* parent : objects_in(object(kube::kHttpRoutes, "shared"), "status.parents")) {
                  names += kube::find_string(*parent, "controllerName");
                }
                return names;
              }),
      "example.com/other");
}

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
  const auto parents = [&] {
    std::string text;
    for (const auto* parent : objects_in(object(kPools, "pool"), "status.parents")) {
      text += fmt::format("{}: {}", kube::find_string(*parent, "parentRef.name"), conditions_of(parent));
    }
    return text;
  };
  constexpr std::string_view kUsed = "front: Accepted=True Accepted; ResolvedRefs=True ResolvedRefs";
  EXPECT_EQ(settled(kUsed, parents), kUsed);
  kube_.erase(kube::kHttpRoutes, {"default", "r"});
  EXPECT_EQ(settled("", parents), "");
}

}  // namespace
}  // namespace llmd::gateway
