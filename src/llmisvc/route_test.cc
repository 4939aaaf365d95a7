// The managed HTTPRoute: its parents, its matches on the model's name, its backends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/path.h"
#include "llmisvc/check.h"
#include "llmisvc/compile.h"

namespace llmd::llmisvc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

json::Object service_with(std::string_view router, std::string_view model = "uri: \"hf://o/m\", name: m",
                          std::string_view rest = "") {
  const auto manifest = parse_manifest(
      fmt::format("apiVersion: serving.kserve.io/v1alpha2\nkind: LLMInferenceService\nmetadata: {{name: a, "
                  "namespace: team}}\nspec: {{model: {{{}}}, router: {{{}}}{}}}\n",
                  model, router, rest),
      "test.yaml");
  EXPECT_TRUE(manifest) << manifest.error().text();
  return manifest->services.front().value.get_object();
}

// spec of the service's HTTPRoute; null without one.
json::Value route_of(const json::Object& service, const Facts& facts = {}) {
  const Compiled compiled = compile(service, facts);
  EXPECT_FALSE(has_errors(compiled.findings)) << error_of(compiled.findings).text();
  for (const json::Object& object : compiled.objects) {
    if (object.at("kind") == "HTTPRoute") {
      return object.at("spec");
    }
  }
  return nullptr;
}

// ---- Parents.

struct ParentCase {
  const char* name;
  const char* router;
  const char* parents;
};
class RouteParents : public testing::TestWithParam<ParentCase> {};

TEST_P(RouteParents, AreTheReferencedGatewaysElseTheDefault) {
  const json::Value route = route_of(service_with(GetParam().router));
  ASSERT_TRUE(route.is_object());
  EXPECT_EQ(json::write(route.at("parentRefs")), GetParam().parents);
}

INSTANTIATE_TEST_SUITE_P(
    Table, RouteParents,
    testing::Values(
        ParentCase{
            "NoReference", "route: {}, gateway: {}",
            R"([{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"kserve-ingress-gateway",)"
            R"("namespace":"kserve"}])"},
        ParentCase{
            "One", "route: {}, gateway: {refs: [{name: g, namespace: net}]}",
            R"([{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"g","namespace":"net"}])"},
        ParentCase{"NoNamespaceStaysUnset", "route: {}, gateway: {refs: [{name: g}]}",
                   R"([{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"g"}])"},
        ParentCase{
            "ListenerIsKept", "route: {}, gateway: {refs: [{name: g, sectionName: https}]}",
            R"([{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"g","sectionName":"https"}])"},
        ParentCase{"Several", "route: {}, gateway: {refs: [{name: g}, {name: h, namespace: net}]}",
                   R"([{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"g"},)"
                   R"({"group":"gateway.networking.k8s.io","kind":"Gateway","name":"h","namespace":"net"}])"},
        ParentCase{"OwnParentsStayWithoutReferences",
                   "route: {http: {spec: {parentRefs: [{name: mine}], rules: [{}]}}}",
                   R"([{"name":"mine"}])"},
        ParentCase{
            "EqualToTheReferences",
            "route: {http: {spec: {parentRefs: [{name: g, sectionName: s}], rules: [{}]}}}, gateway: "
            "{refs: [{name: g, sectionName: s}]}",
            R"([{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"g","sectionName":"s"}])"}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(RouteParentsGuard, OtherParentsThanTheReferencesAreRefused) {
  const auto findings = check_object(service_with(
      "route: {http: {spec: {parentRefs: [{name: g, sectionName: s}]}}}, gateway: {refs: [{name: g}]}"));
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].severity, Severity::Error);
  EXPECT_THAT(findings[0].sentence, HasSubstr("names other Gateways"));
}

TEST(RouteParentsGuard, GatewaysWithoutARouteMakeNone) {
  EXPECT_TRUE(route_of(service_with("gateway: {refs: [{name: g}]}")).is_null());
  EXPECT_TRUE(
      route_of(service_with("route: {http: {refs: [{name: r}]}}, gateway: {refs: [{name: g}]}")).is_null());
}

// ---- Matches on the model's name.

// Values of the model header, in their order; those of rule `name` only.
std::vector<std::string> header_values(const json::Value& route, std::string_view rule_name) {
  std::vector<std::string> values;
  for (const json::Value& rule : *json::array_at(route, "rules")) {
    if (json::string_at(rule, "name").value_or("") != rule_name) {
      continue;
    }
    for (const json::Value& match : *json::array_at(rule, "matches")) {
      for (const json::Value& header : *json::array_at(match, "headers")) {
        values.emplace_back(*json::string_at(header, "value"));
      }
    }
  }
  return values;
}

constexpr const char* kCatchAll = "v1-catch-all-model-routing";

TEST(ModelRouting, EveryMatchIsRepeatedForEachAdapterInTheOrderOfTheirNames) {
  const auto route = route_of(service_with(
      "route: {}",
      "uri: \"hf://o/m\", name: m, lora: {adapters: [{name: z, uri: \"hf://o/z\"}, {name: b, uri: "
      "\"hf://o/b\"}]}"));
  EXPECT_THAT(
      header_values(route, kCatchAll),
      ElementsAre("publishers/team/models/m", "publishers/team/models/b", "publishers/team/models/z"));
  EXPECT_EQ(header_values(route, "v1-model-routing").size(), 8U * 3U);
}

TEST(ModelRouting, RulesWithoutTheHeaderStayAsTheyAre) {
  const std::string_view model =
      "uri: \"hf://o/m\", name: m, lora: {adapters: [{name: b, uri: \"hf://o/b\"}]}";
  const std::string_view router =
      "route: {http: {spec: {rules: [{name: own, matches: [{headers: [{name: X-Other, value: v}]}]}]}}}";
  EXPECT_THAT(header_values(route_of(service_with(router, model)), "own"), ElementsAre("v"));
}

TEST(ModelRouting, WithoutAdaptersThereIsTheModelAlone) {
  EXPECT_THAT(header_values(route_of(service_with("route: {}")), kCatchAll),
              ElementsAre("publishers/team/models/m"));
}

std::vector<std::string> rule_names(const json::Value& route) {
  std::vector<std::string> names;
  for (const json::Value& rule : *json::array_at(route, "rules")) {
    names.emplace_back(json::string_at(rule, "name").value_or(""));
  }
  return names;
}

struct RoutingCase {
  const char* name;
  ModelRouting mode;
  const char* router;
  const char* rest;
  bool is_routed;
};
class ModelRoutingMode : public testing::TestWithParam<RoutingCase> {};

TEST_P(ModelRoutingMode, DecidesWithTheGatewayAndTheService) {
  Facts facts{.model_routing = GetParam().mode};
  remember(facts,
           *json::parse_object(R"({"apiVersion":"gateway.networking.k8s.io/v1","kind":"Gateway","metadata":)"
                               R"({"name":"closed","namespace":"team","annotations":)"
                               R"({"serving.kserve.io/model-based-routing-enabled":"false"}}})"));
  const auto names = rule_names(
      route_of(service_with(GetParam().router, "uri: \"hf://o/m\", name: m", GetParam().rest), facts));
  EXPECT_EQ(std::ranges::count(names, kCatchAll), GetParam().is_routed ? 1 : 0);
  EXPECT_EQ(std::ranges::count(names, "v1-catch-all-path"), 1) << "paths stay";
  EXPECT_EQ(std::ranges::count(names, "v1-publisher-path-catch-all"), 1) << "paths with the publisher stay";
}

constexpr const char* kOpen = "route: {}, gateway: {refs: [{name: open}]}";
constexpr const char* kClosed = "route: {}, gateway: {refs: [{name: open}, {name: closed}]}";
constexpr const char* kNotWished = ", annotations: {serving.kserve.io/model-based-routing-enabled: 'false'}";

INSTANTIATE_TEST_SUITE_P(
    Table, ModelRoutingMode,
    testing::Values(RoutingCase{"Enabled", ModelRouting::Enabled, kOpen, "", true},
                    RoutingCase{"EnabledAndAGatewayOptsOut", ModelRouting::Enabled, kClosed, "", false},
                    RoutingCase{"Forced", ModelRouting::Forced, kClosed, "", true},
                    RoutingCase{"ForcedButThePodsDoNotKnowTheName", ModelRouting::Forced, kOpen, kNotWished,
                                false},
                    RoutingCase{"Disabled", ModelRouting::Disabled, kOpen, "", false},
                    RoutingCase{"NotWished", ModelRouting::Enabled, kOpen, kNotWished, false}),
    [](const auto& param) { return std::string(param.param.name); });

TEST(ModelRoutingMode, ARuleKeepsItsOtherMatches) {
  const std::string_view router =
      "route: {http: {spec: {rules: [{name: own, matches: [{path: {value: /x}}, {headers: [{name: "
      "X-Gateway-Model-Name, value: v}]}]}]}}}";
  const auto route = route_of(service_with(router), {.model_routing = ModelRouting::Disabled});
  EXPECT_EQ(json::write(*json::find(route, "rules[0].matches")), R"([{"path":{"value":"/x"}}])");
}

TEST(ModelRoutingMode, IsReadWhateverItsCase) {
  EXPECT_EQ(parse_model_routing("enabled"), ModelRouting::Enabled);
  EXPECT_EQ(parse_model_routing("Disabled"), ModelRouting::Disabled);
  EXPECT_EQ(parse_model_routing("FORCED"), ModelRouting::Forced);
  EXPECT_EQ(parse_model_routing(""), std::nullopt);
  EXPECT_EQ(parse_model_routing("maybe"), std::nullopt);
}

// ---- Backends.

TEST(RouteBackends, FollowTheScheduler) {
  const auto backend = [](const char* router) {
    const auto route = route_of(service_with(router));
    return fmt::format("{}/{}:{}", *json::string_at(route, "rules[0].backendRefs[0].kind"),
                       *json::string_at(route, "rules[0].backendRefs[0].name"),
                       *json::int_at(route, "rules[0].backendRefs[0].port"));
  };
  EXPECT_EQ(backend("route: {}"), "Service/a-kserve-workload-svc:8000");
  EXPECT_EQ(backend("route: {}, scheduler: {}"), "InferencePool/a-inference-pool:8000");
  EXPECT_EQ(backend("route: {}, scheduler: {pool: {ref: {name: shared}}}"), "InferencePool/shared:8000");
}

}  // namespace
}  // namespace llmd::llmisvc
