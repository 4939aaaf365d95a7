// Which rule wins, what becomes of the path, and what Kubernetes objects turn into.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/build_routes.h"
#include "json/yaml.h"

namespace llmd::gateway {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

http::RequestHead request(std::string target, http::Headers headers = {{"Host", "a.example:80"}},
                          std::string method = "GET") {
  return {std::move(method), std::move(target), std::move(headers)};
}

struct Rewriting {
  std::string_view target;
  std::string_view prefix;
  std::string_view replacement;
  std::string_view result;
};

class PathRewriteTable : public testing::TestWithParam<Rewriting> {};

TEST_P(PathRewriteTable, FollowsGatewayApi) {
  const auto& [target, prefix, replacement, result] = GetParam();
  EXPECT_EQ((PathRewrite{PathRewrite::Kind::PrefixMatch, std::string(replacement)}.apply(target, prefix)),
            result);
}

INSTANTIATE_TEST_SUITE_P(
    Table, PathRewriteTable,
    testing::Values(Rewriting{"/foo/bar", "/foo", "/xyz", "/xyz/bar"},
                    Rewriting{"/foo/bar", "/foo/", "/xyz/", "/xyz/bar"},
                    Rewriting{"/foo", "/foo", "/xyz", "/xyz"}, Rewriting{"/foo/", "/foo", "/xyz", "/xyz/"},
                    Rewriting{"/foo/bar", "/foo", "", "/bar"}, Rewriting{"/foo", "/foo", "", "/"},
                    Rewriting{"/foo/", "/foo", "/", "/"}, Rewriting{"/foo?a=/b", "/foo", "/", "/?a=/b"},
                    Rewriting{"/ns/m/v1/chat?x=1", "/ns/m", "/", "/v1/chat?x=1"},
                    Rewriting{"/a", "/", "/b", "/b/a"}));

// Tables made of rules that are named by their route.
class Routes : public testing::Test {
 protected:
  Match& add(std::string name, std::string path, Match::Path kind = Match::Path::Prefix,
             std::string host = {}) {
    auto rule = std::make_shared<Rule>();
    rule->route = std::move(name);
    added_.push_back({std::move(host), {}});
    Match& match = added_.back().second;
    match.kind = kind;
    match.path = std::move(path);
    match.rule = std::move(rule);
    match.order = added_.size();
    return match;
  }
  std::string find(const http::RequestHead& head) {
    RouteTable table;
    for (const auto& [host, match] : added_) {
      table.add(host, match);
    }
    table.seal();
    const Match* match = table.find(head);
    return match == nullptr ? "none" : match->rule->route;
  }
  std::deque<std::pair<std::string, Match>> added_;
};

TEST_F(Routes, PrefixesMatchWholeSegments) {
  add("abc", "/abc");
  for (const auto* path : {"/abc", "/abc/", "/abc/d", "/abc?x=1", "/abc/d/e/f"}) {
    EXPECT_EQ(find(request(path)), "abc") << path;
  }
  for (const auto* path : {"/abcd", "/ab", "/", "/x/abc"}) {
    EXPECT_EQ(find(request(path)), "none") << path;
  }
}

TEST_F(Routes, AnExactPathWinsOverTheLongestPrefixOverShorterOnes) {
  add("root", "/");
  add("short", "/a");
  add("long", "/a/b/");
  add("exact", "/a/b/c", Match::Path::Exact);
  EXPECT_EQ(find(request("/a/b/c")), "exact");
  EXPECT_EQ(find(request("/a/b/c/")), "long");
  EXPECT_EQ(find(request("/a/b")), "long");
  EXPECT_EQ(find(request("/a/bc")), "short");
  EXPECT_EQ(find(request("/other")), "root");
}

TEST_F(Routes, AMoreSpecificHostWinsOverAMoreSpecificPath) {
  add("any", "/a/b/c");
  add("wildcard", "/", Match::Path::Prefix, "*.example");
  add("longer wildcard", "/", Match::Path::Prefix, "*.b.example");
  add("exact host", "/a", Match::Path::Prefix, "a.example");
  EXPECT_EQ(find(request("/a/b/c", {{"Host", "A.Example:8080"}})), "exact host");
  EXPECT_EQ(find(request("/x", {{"Host", "a.example"}})), "wildcard");
  EXPECT_EQ(find(request("/a", {{"Host", "x.y.example"}})), "wildcard");
  EXPECT_EQ(find(request("/a", {{"Host", "x.b.example"}})), "longer wildcard");
  EXPECT_EQ(find(request("/a/b/c", {{"Host", "example"}})), "any");
  EXPECT_EQ(find(request("/a/b/c", {{"Host", "[::1]:80"}})), "any");
}

TEST_F(Routes, MethodThenHeadersThenQueryDecideBetweenEqualPaths) {
  add("plain", "/a");
  add("one query", "/a").query = {{"q", "1"}};
  add("one header", "/a").headers = {{"X-A", "1"}};
  add("two headers", "/a").headers = {{"x-a", "1"}, {"x-b", "2"}};
  add("method", "/a").method = "POST";
  EXPECT_EQ(find(request("/a?q=1", {{"X-A", "1"}, {"X-B", "2"}}, "POST")), "method");
  EXPECT_EQ(find(request("/a?q=1", {{"X-A", "1"}, {"X-B", "2"}})), "two headers");
  EXPECT_EQ(find(request("/a?q=1", {{"X-A", "1"}})), "one header");
  EXPECT_EQ(find(request("/a?q=1", {{"X-A", "2"}})), "one query");
  EXPECT_EQ(find(request("/a?q=2")), "plain");
}

TEST_F(Routes, TheOlderRouteThenTheNameThenTheOrderBreakTies) {
  add("b", "/a").created = "2026-01-02T00:00:00Z";
  add("c", "/a").created = "2026-01-01T00:00:00Z";
  add("a", "/a").created = "2026-01-02T00:00:00Z";
  EXPECT_EQ(find(request("/a")), "c");
  added_.erase(added_.begin() + 1);
  EXPECT_EQ(find(request("/a")), "a");
}

TEST(HeaderEditsTest, SetAddAndRemove) {
  const HeaderEdits edits{{{"A", "new"}}, {{"B", "2"}, {"C", "3"}}, {"D"}};
  http::Headers headers{{"a", "old"}, {"b", "1"}, {"d", "x"}};
  edits.apply(headers);
  EXPECT_EQ(headers.find("A"), "new");
  EXPECT_EQ(headers.find("B"), "1,2");
  EXPECT_EQ(headers.find("C"), "3");
  EXPECT_FALSE(headers.has("D"));
}

// Objects from YAML, as `kubectl get -o yaml` would show them.
class FromObjects : public testing::Test {
 protected:
  void given(std::string_view yaml) {
    for (auto& document : json::parse_yaml(yaml, "test").value()) {
      objects_.push_back(document.value.as_object());
    }
  }
  RouteTable build() {
    RouteObjects sorted;
    for (const auto& object : objects_) {
      sorted.add(object);
    }
    return build_routes(sorted).table;
  }
  std::deque<kube::Object> objects_;
};

constexpr std::string_view kRoute = R"(
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: smollm2-kserve-route, namespace: default, creationTimestamp: "2026-01-01T00:00:00Z"}
spec:
  rules:
  - matches: [{path: {type: PathPrefix, value: /default/smollm2}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
    backendRefs: [{group: "", kind: Service, name: workload, port: 8000, weight: 1}]
    timeouts: {request: 0s, backendRequest: 0s}
  - matches: [{path: {type: Exact, value: /v1/chat/completions}, headers: [{type: Exact, name: X-Model, value: m}]}]
    backendRefs: [{kind: Service, name: workload, port: 8000}]
    timeouts: {request: 90s}
)";
constexpr std::string_view kService = R"(
apiVersion: v1
kind: Service
metadata: {name: workload, namespace: default}
spec: {ports: [{name: https, port: 8000, targetPort: 8001}]}
)";
constexpr std::string_view kSlice = R"(
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: workload-1, namespace: default, labels: {kubernetes.io/service-name: workload}}
ports: [{name: https, port: 8001}, {name: other, port: 9}]
endpoints:
- {addresses: [127.1.0.1], conditions: {ready: true}, targetRef: {kind: Pod, name: pod-a}}
- {addresses: [127.1.0.2], conditions: {ready: false}, targetRef: {kind: Pod, name: pod-b}}
- {addresses: [127.1.0.3], targetRef: {kind: Pod, name: pod-c}}
- {addresses: [127.1.0.4], conditions: {ready: true, terminating: true}}
)";

TEST_F(FromObjects, ARouteLeadsToTheReadyEndpointsOfItsService) {
  given(kRoute);
  given(kService);
  given(kSlice);
  const RouteTable table = build();
  const Match* match = table.find(request("/default/smollm2/v1/models"));
  ASSERT_NE(match, nullptr);
  EXPECT_EQ(match->rule->route, "default/smollm2-kserve-route");
  EXPECT_EQ(match->rule->problem, "");
  EXPECT_EQ(match->rule->request_timeout, Duration::zero()) << "0s is none, not the gateway's own limit";
  EXPECT_EQ(match->rule->rewrite.apply("/default/smollm2/v1/models", match->path), "/v1/models");
  ASSERT_EQ(match->rule->backends.size(), 1U);
  const Backend& backend = table.backends.at(match->rule->backends[0].key);
  EXPECT_EQ(backend.not_ready, 1U);
  EXPECT_THAT(backend.ready, ElementsAre(picker::Endpoint{{"127.1.0.1", 8001}, "pod-a", {}},
                                         picker::Endpoint{{"127.1.0.3", 8001}, "pod-c", {}}));
  const Match* by_model = table.find(request("/v1/chat/completions", {{"x-model", "m"}}));
  ASSERT_NE(by_model, nullptr);
  EXPECT_EQ(by_model->rule->request_timeout, std::chrono::seconds(90));
  EXPECT_EQ(table.find(request("/v1/chat/completions")), nullptr);
}

TEST_F(FromObjects, AServiceThatIsMissingIsAProblemOfItsBackend) {
  given(kRoute);
  const RouteTable table = build();
  const Match* match = table.find(request("/default/smollm2"));
  ASSERT_NE(match, nullptr);
  EXPECT_EQ(match->rule->backends[0].key, "");
  EXPECT_THAT(match->rule->backends[0].problem, HasSubstr("Service default/workload does not exist"));
}

TEST_F(FromObjects, AServiceWithoutEndpointsIsABackendToWaitFor) {
  given(kRoute);
  given(kService);
  const RouteTable table = build();
  EXPECT_EQ(table.backends.at("default/workload:8000").ready.size(), 0U);
}

TEST_F(FromObjects, WhatTheGatewayCannotDoIsAProblemOfTheRuleOnly) {
  given(R"(
kind: HTTPRoute
metadata: {name: r, namespace: ns}
spec:
  rules:
  - matches: [{path: {value: /mirror}}]
    filters: [{type: ExtensionRef}]
    backendRefs: [{name: workload, port: 8000}]
  - matches: [{path: {value: /pool}}]
    backendRefs: [{group: inference.networking.k8s.io, kind: InferencePool, name: p}]
  - matches: [{path: {type: RegularExpression, value: "/(.*"}}]
    backendRefs: [{name: workload, port: 8000}]
  - matches: [{path: {value: /empty}}]
  - matches: [{path: {value: /far}}]
    backendRefs: [{name: workload, namespace: elsewhere, port: 8000}]
)");
  const RouteTable table = build();
  EXPECT_EQ(table.find(request("/mirror"))->rule->problem, "filter ExtensionRef is not supported");
  EXPECT_THAT(table.find(request("/pool"))->rule->backends[0].problem, HasSubstr("InferencePool ns/p"));
  EXPECT_EQ(table.find(request("/something")), nullptr);
  EXPECT_EQ(table.find(request("/empty"))->rule->problem, "the rule has no backend");
  EXPECT_THAT(table.find(request("/far"))->rule->backends[0].problem, HasSubstr("another namespace"));
}

TEST_F(FromObjects, RubbishIsSkipped) {
  given(
      "kind: HTTPRoute\nmetadata: {name: r}\nspec: {rules: [1, {matches: x, backendRefs: [true]}], "
      "hostnames: [3]}\n");
  given("kind: EndpointSlice\nendpoints: [1, {addresses: []}]\nports: 7\n");
  EXPECT_EQ(build().find(request("/"))->rule->problem, "the rule has no backend");
}

}  // namespace
}  // namespace llmd::gateway
