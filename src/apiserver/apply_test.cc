// Server-side apply: who owns a field, and what happens to it when the owner stops naming it.
#include "apiserver/api_fixture.h"
#include "apiserver/field_set.h"

namespace llmd::apiserver {
namespace {

constexpr const char* kPath = "/apis/apps/v1/namespaces/default/deployments/web";

std::string deployment(std::string_view spec, std::string_view labels = "{}") {
  return fmt::format(
      R"({{"apiVersion":"apps/v1","kind":"Deployment","metadata":{{"name":"web","labels":{}}},"spec":{{
    "selector":{{"matchLabels":{{"app":"web"}}}},"template":{{"metadata":{{"labels":{{"app":"web"}}}},
    "spec":{{"containers":[{{"name":"main","image":"nginx"}}]}}}}{}}}}})",
      labels, spec);
}

Task<Got> apply(Api& api, std::string body, std::string manager, bool force = false) {
  std::string target = fmt::format("{}?fieldManager={}&force={}", kPath, manager, force);
  return api.send("PATCH", std::move(target), std::move(body), "application/apply-patch+yaml");
}

TEST(Apply, CreatesAndOwnsOnlyWhatItNamed) {
  with_server([](Api& api) -> Task<void> {
    const Got made = co_await apply(api, deployment(R"(,"replicas":2)"), "one");
    EXPECT_EQ(made.status, 201);
    const auto& entry = made.object().at("metadata").at("managedFields").at(0).as_object();
    EXPECT_EQ(kube::find_string(entry, "operation"), "Apply");
    const boost::json::object& spec = entry.at("fieldsV1").at("f:spec").as_object();
    EXPECT_TRUE(spec.contains("f:replicas"));
    EXPECT_FALSE(spec.contains("f:strategy"));
    const auto& containers = spec.at("f:template").at("f:spec").at("f:containers").as_object();
    EXPECT_TRUE(containers.at(R"(k:{"name":"main"})").as_object().contains("."));
  });
}

TEST(Apply, AFieldThatIsNoLongerNamedGoes) {
  with_server([](Api& api) -> Task<void> {
    co_await apply(api, deployment(R"(,"replicas":2)", R"({"a":"1","b":"2"})"), "one");
    const Got got = co_await apply(api, deployment("", R"({"a":"1"})"), "one");
    EXPECT_EQ(kube::label_of(got.object(), "a"), "1");
    EXPECT_EQ(kube::label_of(got.object(), "b"), "");
    EXPECT_EQ(kube::find_int(got.object(), "spec.replicas", 0), 1);  // the default is back
  });
}

TEST(Apply, AFieldOthersNameTooStays) {
  with_server([](Api& api) -> Task<void> {
    co_await apply(api, deployment(R"(,"replicas":2)"), "one");
    co_await apply(api, deployment(R"(,"replicas":2)"), "two");
    const Got got = co_await apply(api, deployment(""), "one");
    EXPECT_EQ(kube::find_int(got.object(), "spec.replicas", 0), 2);
  });
}

TEST(Apply, AnotherValueOfAnothersFieldIsAConflictUnlessForced) {
  with_server([](Api& api) -> Task<void> {
    co_await apply(api, deployment(R"(,"replicas":2)"), "one");
    const Got refused = co_await apply(api, deployment(R"(,"replicas":3)"), "two");
    EXPECT_EQ(refused.status, 409);
    EXPECT_EQ(refused.text("message"),
              R"(Apply failed with 1 conflict: conflict with "one": .spec.replicas)");
    const Got forced = co_await apply(api, deployment(R"(,"replicas":3)"), "two", true);
    EXPECT_EQ(kube::find_int(forced.object(), "spec.replicas", 0), 3);
    const Got released = co_await apply(api, deployment(""), "one");
    EXPECT_EQ(kube::find_int(released.object(), "spec.replicas", 0), 3);
  });
}

TEST(Apply, TheSameAgainWritesNothing) {
  with_server([](Api& api) -> Task<void> {
    const Got first = co_await apply(api, deployment(R"(,"replicas":2)"), "one");
    const Got second = co_await apply(api, deployment(R"(,"replicas":2)"), "one");
    EXPECT_EQ(second.status, 200);
    EXPECT_EQ(first.body, second.body);
  });
}

TEST(Apply, StatusAndSpecificationAreAppliedApart) {
  with_server([](Api& api) -> Task<void> {
    co_await apply(api, deployment(R"(,"replicas":2)"), "one");
    auto object =
        parsed(R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","namespace":"default"},
                             "status":{"readyReplicas":2}})");
    const auto applied = co_await api.client.apply_status(kube::kDeployments, object, "one");
    EXPECT_TRUE(applied);
    if (applied) {
      EXPECT_EQ(kube::find_int(*applied, "status.readyReplicas", 0), 2);
      EXPECT_EQ(kube::find_int(*applied, "spec.replicas", 0), 2);
    }
    const Got again = co_await apply(api, deployment(R"(,"replicas":2)"), "one");
    EXPECT_EQ(kube::find_int(again.object(), "status.readyReplicas", 0), 2);
  });
}

TEST(Apply, NeedsAManager) {
  with_server([](Api& api) -> Task<void> {
    const Got got = co_await api.send("PATCH", kPath, deployment(""), "application/apply-patch+yaml");
    EXPECT_EQ(got.status, 422);
    EXPECT_EQ(
        got.text("message"),
        R"(PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch)");
  });
}

TEST(FieldSet, SurvivesItsWireForm) {
  const auto text =
      boost::json::parse(R"({"f:a":{".":{},"f:b":{}},"f:list":{"k:{\"name\":\"x\"}":{".":{},"f:y":{}}}})");
  const auto set = FieldSet::from_json(text);
  ASSERT_TRUE(set);
  EXPECT_EQ(boost::json::value(set->to_json()), text);
}

}  // namespace
}  // namespace llmd::apiserver
