// Objects through the front door: what is stored, what is refused and in which words.
#include "apiserver/api_fixture.h"

namespace llmd::apiserver {
namespace {

using kube::find_int;
using kube::find_string;

constexpr const char* kConfigMap =
    R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c1"},"data":{"a":"1"}})";
constexpr const char* kConfigMaps = "/api/v1/namespaces/default/configmaps";
constexpr const char* kDeployment =
    R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{
  "selector":{"matchLabels":{"app":"web"}},"template":{"metadata":{"labels":{"app":"web"}},
  "spec":{"containers":[{"name":"main","image":"nginx"}]}}}})";
constexpr const char* kDeployments = "/apis/apps/v1/namespaces/default/deployments";

TEST(Objects, ACreatedObjectHasWhatTheServerAdds) {
  with_server([](Api& api) -> Task<void> {
    const Got made = co_await api.send("POST", kDeployments, kDeployment);
    EXPECT_EQ(made.status, 201);
    EXPECT_EQ(made.text("metadata.uid").size(), 36U);
    EXPECT_EQ(find_int(made.object(), "metadata.generation", 0), 1);
    EXPECT_EQ(find_int(made.object(), "spec.replicas", 0), 1);
    EXPECT_EQ(made.text("spec.strategy.rollingUpdate.maxSurge"), "25%");
    EXPECT_EQ(made.text("spec.template.spec.restartPolicy"), "Always");
  });
}

TEST(Objects, OnlyChangesOfTheSpecificationRaiseTheGeneration) {
  with_server([](Api& api) -> Task<void> {
    co_await api.send("POST", kDeployments, kDeployment);
    const std::string path = std::string(kDeployments) + "/web";
    const std::string merge = "application/merge-patch+json";
    Got got = co_await api.send("PATCH", path, R"({"metadata":{"labels":{"x":"y"}}})", merge);
    EXPECT_EQ(find_int(got.object(), "metadata.generation", 0), 1);
    got = co_await api.send("PATCH", path, R"({"spec":{"replicas":3}})", merge);
    EXPECT_EQ(find_int(got.object(), "metadata.generation", 0), 2);
    got = co_await api.send("PATCH", path + "/status", R"({"status":{"replicas":3},"spec":{"replicas":9}})",
                            merge);
    EXPECT_EQ(find_int(got.object(), "metadata.generation", 0), 2);
    EXPECT_EQ(find_int(got.object(), "spec.replicas", 0), 3);
    EXPECT_EQ(find_int(got.object(), "status.replicas", 0), 3);
  });
}

TEST(Objects, AWriteThatChangesNothingKeepsTheVersion) {
  with_server([](Api& api) -> Task<void> {
    const Got made = co_await api.send("POST", kConfigMaps, kConfigMap);
    const Got same = co_await api.send("PATCH", std::string(kConfigMaps) + "/c1", R"({"data":{"a":"1"}})",
                                       "application/merge-patch+json");
    EXPECT_EQ(same.text("metadata.resourceVersion"), made.text("metadata.resourceVersion"));
  });
}

TEST(Objects, AStaleVersionIsAConflict) {
  with_server([](Api& api) -> Task<void> {
    const Got made = co_await api.send("POST", kConfigMaps, kConfigMap);
    auto first = made.object();
    auto second = made.object();
    kube::at(first, "data.a") = "2";
    kube::at(second, "data.a") = "3";
    EXPECT_TRUE(co_await api.client.update(kube::kConfigMaps, first));
    const auto late = co_await api.client.update(kube::kConfigMaps, second);
    EXPECT_FALSE(late);
    EXPECT_EQ(late.error().kind, ErrorKind::Conflict);
  });
}

TEST(Objects, DryRunStoresNothing) {
  with_server([](Api& api) -> Task<void> {
    const Got made = co_await api.send("POST", std::string(kConfigMaps) + "?dryRun=All", kConfigMap);
    EXPECT_EQ(made.status, 201);
    const Got got = co_await api.send("GET", std::string(kConfigMaps) + "/c1");
    EXPECT_EQ(got.status, 404);
  });
}

TEST(Objects, AFinalizerHoldsADeletedObject) {
  with_server([](Api& api) -> Task<void> {
    co_await api.send("POST", kConfigMaps, R"({"metadata":{"name":"held","finalizers":["example.com/x"]}})");
    const std::string path = std::string(kConfigMaps) + "/held";
    const Got marked = co_await api.send("DELETE", path);
    EXPECT_EQ(marked.text("kind"), "ConfigMap");
    EXPECT_FALSE(marked.text("metadata.deletionTimestamp").empty());
    co_await api.send("PATCH", path, R"({"metadata":{"finalizers":null}})", "application/merge-patch+json");
    const Got gone = co_await api.send("GET", path);
    EXPECT_EQ(gone.status, 404);
  });
}

TEST(Objects, AScheduledPodStaysUntilItsNodeLetsItGo) {
  with_server([](Api& api) -> Task<void> {
    const std::string pods = "/api/v1/namespaces/default/pods";
    co_await api.send(
        "POST", pods,
        R"({"metadata":{"name":"p"},"spec":{"nodeName":"n","containers":[{"name":"m","image":"i"}]}})");
    const Got marked = co_await api.send("DELETE", pods + "/p");
    EXPECT_EQ(find_int(marked.object(), "metadata.deletionGracePeriodSeconds", 0), 30);
    Got there = co_await api.send("GET", pods + "/p");
    EXPECT_EQ(there.status, 200);
    co_await api.send("DELETE", pods + "/p", R"({"gracePeriodSeconds":0})");
    there = co_await api.send("GET", pods + "/p");
    EXPECT_EQ(there.status, 404);
  });
}

TEST(Objects, PlainTextOfASecretIsStoredEncodedOnly) {
  with_server([](Api& api) -> Task<void> {
    const Got made = co_await api.send("POST", "/api/v1/namespaces/default/secrets",
                                       R"({"metadata":{"name":"s"},"stringData":{"k":"hello"}})");
    EXPECT_EQ(made.text("data.k"), "aGVsbG8=");
    EXPECT_FALSE(made.object().contains("stringData"));
  });
}

TEST(Objects, ScaleIsTheSameForDeploymentsAndModels) {
  with_server([](Api& api) -> Task<void> {
    co_await api.send("POST", kDeployments, kDeployment);
    const std::string models = "/apis/serving.kserve.io/v1alpha1/namespaces/default/llminferenceservices";
    co_await api.send(
        "POST", models,
        R"({"apiVersion":"serving.kserve.io/v1alpha1","kind":"LLMInferenceService","metadata":{"name":"m"},
                          "spec":{"model":{"uri":"file:///x"}}})");
    for (const std::string& path : {std::string(kDeployments) + "/web", models + "/m"}) {
      const Got scale = co_await api.send("PATCH", path + "/scale", R"({"spec":{"replicas":4}})",
                                          "application/merge-patch+json");
      EXPECT_EQ(scale.status, 200);
      EXPECT_EQ(scale.text("kind"), "Scale");
      const Got object = co_await api.send("GET", path);
      EXPECT_EQ(find_int(object.object(), "spec.replicas", 0), 4);
    }
  });
}

TEST(Objects, AnsweredWritesAreThereAfterARestart) {
  const TestFolder folder;
  std::string version;
  with_server(folder.path, [&version](Api& api) -> Task<void> {
    const Got made = co_await api.send("POST", kConfigMaps, kConfigMap);
    version = made.text("metadata.resourceVersion");
  });
  with_server(folder.path, [&version](Api& api) -> Task<void> {
    const Got got = co_await api.send("GET", std::string(kConfigMaps) + "/c1");
    EXPECT_EQ(got.text("metadata.resourceVersion"), version);
    EXPECT_EQ(got.text("data.a"), "1");
  });
}

struct Refusal {
  const char* method;
  const char* path;
  const char* body;
  const char* type;
  int code;
  const char* message;
};
class Refusals : public testing::TestWithParam<Refusal> {};

TEST_P(Refusals, AreSaidAsTheRealServerSaysThem) {
  with_server([](Api& api) -> Task<void> {
    co_await api.send("POST", kConfigMaps, kConfigMap);
    co_await api.send("POST", kDeployments, kDeployment);
    const Refusal& refusal = GetParam();
    const Got got = co_await api.send(refusal.method, refusal.path, refusal.body, refusal.type);
    EXPECT_EQ(got.status, refusal.code);
    EXPECT_EQ(got.text("status"), "Failure");
    EXPECT_EQ(got.text("message"), refusal.message);
  });
}

constexpr const char* kJson = "application/json";
constexpr const char* kMerge = "application/merge-patch+json";

INSTANTIATE_TEST_SUITE_P(
    Table, Refusals,
    testing::Values(
        Refusal{"GET", "/api/v1/namespaces/default/pods/nope", "", kJson, 404, R"(pods "nope" not found)"},
        Refusal{"GET", "/apis/apps/v1/namespaces/default/deployments/nope", "", kJson, 404,
                R"(deployments.apps "nope" not found)"},
        Refusal{"POST", kConfigMaps, kConfigMap, kJson, 409, R"(configmaps "c1" already exists)"},
        Refusal{"POST", "/api/v1/namespaces/nowhere/configmaps", kConfigMap, kJson, 404,
                R"(namespaces "nowhere" not found)"},
        Refusal{
            "POST", kConfigMaps, R"({"metadata":{}})", kJson, 422,
            R"(ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required)"},
        Refusal{"POST", kConfigMaps, "", kJson, 400,
                "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; "
                "json parse "
                "error: unexpected end of JSON input (<empty>)"},
        Refusal{"POST", kConfigMaps, "kind: x", "text/plain", 415,
                "the body of the request was in an unknown format - accepted media types include: "
                "application/json, "
                "application/yaml"},
        Refusal{
            "POST", kConfigMaps, R"({"kind":"Secret","apiVersion":"v1","metadata":{"name":"s"}})", kJson, 400,
            R"(Secret in version "v1" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion)"},
        Refusal{
            "PATCH", "/apis/apps/v1/namespaces/default/deployments/web", R"({"spec":{"replicas":-1}})",
            kMerge, 422,
            R"(Deployment.apps "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0)"},
        Refusal{
            "PATCH", "/apis/apps/v1/namespaces/default/deployments/web", R"({"spec":{"replicas":"x"}})",
            kMerge, 400,
            R"(Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32)"},
        Refusal{
            "PATCH", "/apis/apps/v1/namespaces/default/deployments/web?fieldValidation=Strict",
            R"({"spec":{"replica":1}})", kMerge, 400,
            R"(Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "spec.replica")"},
        Refusal{
            "POST", "/api/v1/namespaces/default/configmaps?fieldValidation=Loud", kConfigMap, kJson, 422,
            R"(CreateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Loud": supported values: "", "Ignore", "Strict", "Warn")"},
        Refusal{"GET", "/api/v1/namespaces/default/pods?fieldSelector=spec.priority%3D1", "", kJson, 400,
                "field label not supported: spec.priority"},
        Refusal{"GET", "/api/v1/namespaces/default/pods?labelSelector=app+in+web", "", kJson, 400,
                "unable to parse requirement: found 'web' expected: '('"},
        Refusal{"DELETE", "/api/v1/namespaces/default", "", kJson, 403,
                R"(namespaces "default" is forbidden: this namespace may not be deleted)"},
        Refusal{"PUT", kConfigMaps, kConfigMap, kJson, 405,
                "the server does not allow this method on the requested resource"}));

TEST(Access, NeedsTheToken) {
  with_server([](Api& api) -> Task<void> {
    const Got got =
        co_await api.send("GET", "/api/v1/pods", "", "", "application/json", "a-token-only-for-testz");
    EXPECT_EQ(got.status, 401);
    EXPECT_EQ(got.text("reason"), "Unauthorized");
  });
}

TEST(Access, IsForLoopbackOnly) {
  async::EventLoop loop;
  const TestFolder folder;
  const auto server = ApiServer::create(
      loop,
      {.data_directory = folder.path, .address = {"0.0.0.0", 0}, .bearer_token = std::string(kTestToken)});
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().kind, ErrorKind::PermissionDenied);
}

}  // namespace
}  // namespace llmd::apiserver
