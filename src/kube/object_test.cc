#include "kube/object.h"

#include <gtest/gtest.h>
#include <boost/json/parse.hpp>

#include "kube/resource.h"
#include "kube/selector.h"

namespace llmd::kube {
namespace {

Object object(std::string_view text) {
  return boost::json::parse(std::string(text)).as_object();
}

TEST(Resource, PathsNameNamespaceAndObject) {
  EXPECT_EQ(kPods.path("default", "x"), "/api/v1/namespaces/default/pods/x");
  EXPECT_EQ(kPods.path(""), "/api/v1/pods");
  EXPECT_EQ(kDeployments.path("a", "web"), "/apis/apps/v1/namespaces/a/deployments/web");
  EXPECT_EQ(kNodes.path("ignored", "n"), "/api/v1/nodes/n");
}

TEST(Resource, IsFoundByWhatManifestsSay) {
  const Resource* found = find_resource("serving.kserve.io/v1alpha1", "LLMInferenceService");
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->plural, "llminferenceservices");
  EXPECT_EQ(find_resource("v1", "Unicorn"), nullptr);
}

TEST(Object, MissingStepsReadAsNothing) {
  const Object pod =
      object(R"({"metadata":{"name":"x","labels":{"app.kubernetes.io/name":"y"}},"spec":{"replicas":3}})");
  EXPECT_EQ(name_of(pod), "x");
  EXPECT_EQ(namespace_of(pod), "");
  EXPECT_EQ(label_of(pod, "app.kubernetes.io/name"), "y");
  EXPECT_EQ(find_int(pod, "spec.replicas", 1), 3);
  EXPECT_EQ(find_int(pod, "spec.replicas.more", 7), 7);
  EXPECT_EQ(find(pod, "status.phase"), nullptr);
}

TEST(Object, AConditionKeepsItsTimeUntilItsStatusChanges) {
  Object pod;
  set_condition(pod, "Ready", "False", "Starting", "", "2026-01-01T00:00:00Z");
  set_condition(pod, "Ready", "False", "Loading", "", "2026-01-01T00:00:10Z");
  EXPECT_EQ(find_string(*find_condition(pod, "Ready"), "lastTransitionTime"), "2026-01-01T00:00:00Z");
  EXPECT_EQ(find_string(*find_condition(pod, "Ready"), "reason"), "Loading");
  set_condition(pod, "Ready", "True", "", "", "2026-01-01T00:00:20Z");
  EXPECT_EQ(find_string(*find_condition(pod, "Ready"), "lastTransitionTime"), "2026-01-01T00:00:20Z");
}

struct SelectorCase {
  const char* selector;
  bool matches;
};
class LabelSelectorText : public testing::TestWithParam<SelectorCase> {};

TEST_P(LabelSelectorText, ChoosesByLabels) {
  const Object pod = object(R"({"metadata":{"labels":{"app":"web","tier":"front"}}})");
  const auto selector = LabelSelector::parse(GetParam().selector);
  ASSERT_TRUE(selector) << selector.error().message;
  EXPECT_EQ(selector->matches(pod), GetParam().matches) << GetParam().selector;
}

INSTANTIATE_TEST_SUITE_P(Rules, LabelSelectorText,
                         testing::Values(SelectorCase{"", true}, SelectorCase{"app=web", true},
                                         SelectorCase{"app==web,tier=front", true},
                                         SelectorCase{"app!=web", false}, SelectorCase{"none!=x", true},
                                         SelectorCase{"app in (web, api)", true},
                                         SelectorCase{"app notin (web)", false},
                                         SelectorCase{"none notin (a)", true}, SelectorCase{"app", true},
                                         SelectorCase{"!app", false}, SelectorCase{"!none", true},
                                         SelectorCase{" app = web ", true}));

struct BadSelector {
  const char* selector;
  const char* message;
};
class BadLabelSelector : public testing::TestWithParam<BadSelector> {};

TEST_P(BadLabelSelector, SaysWhatItExpected) {
  const auto selector = LabelSelector::parse(GetParam().selector);
  ASSERT_FALSE(selector);
  EXPECT_EQ(selector.error().message, GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Mistakes, BadLabelSelector,
    testing::Values(BadSelector{"app in web", "unable to parse requirement: found 'web' expected: '('"},
                    BadSelector{"app=web,",
                                "unable to parse requirement: found '', expected: identifier after ','"},
                    BadSelector{"app is web",
                                "unable to parse requirement: found 'is', expected: in, notin, =, ==, !="}));

TEST(FieldSelector, AnEmptyValueIsAValue) {
  const Object event = object(R"({"involvedObject":{"name":"n"}})");
  const auto selector = FieldSelector::parse("involvedObject.name=n,involvedObject.namespace=");
  ASSERT_TRUE(selector);
  EXPECT_TRUE(selector->matches(event));
  EXPECT_FALSE(FieldSelector::parse("involvedObject.name!=n")->matches(event));
}

TEST(SelectorText, ReadsBackToTheSameSelection) {
  const Object selector = object(
      R"({"matchLabels":{"b":"2","a":"1"},"matchExpressions":[{"key":"t","operator":"In","values":["y","x"]}]})");
  EXPECT_EQ(selector_text(selector), "a=1,b=2,t in (x,y)");
  const Object chosen = object(R"({"metadata":{"labels":{"a":"1","b":"2","t":"x"}}})");
  EXPECT_TRUE(selector_matches(selector, chosen));
  EXPECT_TRUE(LabelSelector::parse(selector_text(selector))->matches(chosen));
}

}  // namespace
}  // namespace llmd::kube
