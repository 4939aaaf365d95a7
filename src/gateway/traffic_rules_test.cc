// Rules of the unified API that need no sockets: networks, limits, token counts, which objects serve models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/answer_usage.h"
#include "gateway/control_headers.h"
#include "gateway/manual_routes.h"
#include "gateway/model_target.h"
#include "gateway/network.h"
#include "gateway/rate_limits.h"
#include "json/yaml.h"

namespace llmd::gateway {
namespace {

using std::chrono::seconds;

TEST(NetworkTest, ContainsWhatItsPrefixSays) {
  struct Row {
    std::string_view network;
    std::string_view address;
    bool inside;
  };
  for (const Row& row :
       {Row{"10.0.0.0/8", "10.255.1.2", true}, Row{"10.0.0.0/8", "11.0.0.1", false},
        Row{"192.168.4.0/22", "192.168.7.255", true}, Row{"192.168.4.0/22", "192.168.8.0", false},
        Row{"127.0.0.1", "127.0.0.1", true}, Row{"127.0.0.1", "127.0.0.2", false},
        Row{"0.0.0.0/0", "8.8.8.8", true}, Row{"0.0.0.0/0", "::1", false},
        Row{"10.0.0.0/8", "::ffff:10.0.0.1", true}, Row{"fd00::/8", "fd12::1", true},
        Row{"fd00::/8", "fe80::1", false}, Row{"10.0.0.0/8", "ten.example", false}}) {
    EXPECT_EQ(Network::parse(row.network).value().contains(row.address), row.inside)
        << row.network << " " << row.address;
  }
  for (const std::string_view wrong :
       {"", "10.0.0.0/33", "10.0.0/8", "x/8", "10.0.0.0/", "::/129", "10.0.0.0/-1"}) {
    EXPECT_FALSE(Network::parse(wrong)) << wrong;
  }
}

TEST(RateLimitsTest, RequestsPerMinuteAllowABurstAndThenTheRate) {
  RateLimits limits({.requests_per_minute = 2});
  const TimePoint start = TimePoint() + seconds(100);
  EXPECT_TRUE(limits.begin(start));
  EXPECT_TRUE(limits.begin(start));
  const auto refused = limits.begin(start);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().retry_after, 30);
  EXPECT_FALSE(limits.begin(start + seconds(29)));
  EXPECT_TRUE(limits.begin(start + seconds(31)));
}

TEST(RateLimitsTest, TokensAreDebtUntilTheyArePaidBack) {
  RateLimits limits({.tokens_per_minute = 60});
  const TimePoint start = TimePoint() + seconds(100);
  EXPECT_TRUE(limits.begin(start));
  limits.spend_tokens(90, start);
  const auto refused = limits.begin(start);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().what, "tokens per minute");
  EXPECT_EQ(refused.error().retry_after, 31);
  EXPECT_TRUE(limits.begin(start + seconds(31)));
}

TEST(RateLimitsTest, APlaceIsFreeWhenARequestEnds) {
  RateLimits limits({.concurrency = 1});
  const TimePoint now = TimePoint() + seconds(1);
  {
    const auto first = limits.begin(now);
    EXPECT_TRUE(first);
    EXPECT_FALSE(limits.begin(now));
  }
  EXPECT_TRUE(limits.begin(now));
}

TEST(AnswerUsageTest, FindsTheLastCounts) {
  const auto chat = usage_in(
      "data: {\"usage\":null}\n\ndata: "
      "{\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7,"
      "\"prompt_tokens_details\":{\"cached_tokens\":2}}}\n\ndata: [DONE]\n\n");
  EXPECT_EQ(chat.prompt_tokens, 5);
  EXPECT_EQ(chat.completion_tokens, 7);
  EXPECT_EQ(chat.cached_tokens, 2);
  const auto message = usage_in(R"({"usage" : {"input_tokens":3,"output_tokens":4}, "x":"}"})");
  EXPECT_EQ(message.prompt_tokens, 3);
  EXPECT_EQ(message.completion_tokens, 4);
  EXPECT_EQ(usage_in(R"({"usage":{"prompt_tok)").prompt_tokens, std::nullopt);
}

TEST(ControlHeadersTest, SpellingDoesNotMatter) {
  EXPECT_TRUE(is_control_header("X-Prefiller-Host-Port", true));
  EXPECT_TRUE(is_control_header("X-GATEWAY-DESTINATION-ENDPOINT", true));
  EXPECT_TRUE(is_control_header("X-LLM-D-SLO-TTFT-MS", false));
  EXPECT_FALSE(is_control_header("X-LLM-D-SLO-TTFT-MS", true));
  EXPECT_FALSE(is_control_header("x-request-id", false));
  EXPECT_FALSE(is_control_header("x-session-token", false));
}

TEST(ManualRouteTest, SaysWhatIsWrong) {
  const Network allowed[] = {Network::parse("10.0.0.0/8").value()};
  const auto mistake = [&](std::string_view text) {
    const auto route = parse_manual_route(json::parse(text).value(), allowed, WallTime());
    return route ? std::string("none") : route.error().text();
  };
  EXPECT_EQ(mistake(R"({"model":"m","url":"http://10.1.2.3:80","ttl":60})"), "none");
  EXPECT_THAT(mistake(R"({"modle":"m"})"), testing::HasSubstr("did you mean 'model'"));
  EXPECT_THAT(mistake(R"({"model":"m"})"), testing::HasSubstr("exactly one of url, service and pool"));
  EXPECT_THAT(mistake(R"({"model":"m","url":"http://11.1.2.3:80"})"), testing::HasSubstr("allowed networks"));
  EXPECT_THAT(mistake(R"({"model":"m","pool":"p","weight":0})"),
              testing::HasSubstr("weight: must be positive"));
  EXPECT_THAT(mistake(R"({"model":"m","pool":"p","ttl":-1})"), testing::HasSubstr("ttl: must be positive"));
  EXPECT_THAT(mistake(R"({"model":1})"), testing::HasSubstr("model: expected a string, got an integer"));
}

std::vector<ModelTarget> targets_of(std::string_view yaml) {
  const auto documents = json::parse_yaml(yaml, "objects.yaml").value();
  RouteObjects objects;
  for (const auto& document : documents) {
    objects.add(document.value.get_object());
  }
  return build_model_targets(objects);
}

TEST(ModelTargetsTest, APoolHasTheReadyPodsItSelects) {
  const auto targets = targets_of(R"(
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: p, namespace: team, annotations: {llmd.dev/owned-by: vLLM}}
spec: {selector: {matchLabels: {app: x}}, targetPorts: [{number: 8000}, {number: 8001}]}
---
apiVersion: v1
kind: Pod
metadata: {name: one, namespace: team, labels: {app: x}}
status: {podIP: 10.0.0.1, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: two, namespace: team, labels: {app: x}}
status: {podIP: 10.0.0.2, conditions: [{type: Ready, status: "False"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: other, namespace: team, labels: {app: y, llm-d.ai/role: prefill}}
status: {podIP: 10.0.0.3, conditions: [{type: Ready, status: "True"}]}
)");
  ASSERT_EQ(targets.size(), 1u);
  EXPECT_EQ(targets[0].key, "InferencePool/team/p");
  EXPECT_EQ(targets[0].via, Via::Pool);
  EXPECT_EQ(targets[0].owner, "vLLM");
  EXPECT_EQ(targets[0].not_ready, 1u);
  ASSERT_EQ(targets[0].endpoints.size(), 2u);
  EXPECT_EQ(targets[0].endpoints[1].address, (net::Address{"10.0.0.1", 8001}));
}

TEST(ModelTargetsTest, AnLlmInferenceServiceNamesItsModelsBeforeTheyRun) {
  const auto targets = targets_of(R"(
apiVersion: serving.kserve.io/v1alpha1
kind: LLMInferenceService
metadata: {name: svc, namespace: team}
spec: {model: {name: org/model, lora: {adapters: [{name: sql}]}}}
---
apiVersion: v1
kind: Service
metadata:
  name: svc-kserve-workload-svc
  namespace: team
  labels: {app.kubernetes.io/name: svc, app.kubernetes.io/part-of: llminferenceservice}
spec: {ports: [{port: 8000}]}
)");
  ASSERT_EQ(targets.size(), 1u);
  EXPECT_TRUE(targets[0].discovered);
  EXPECT_THAT(targets[0].models, testing::ElementsAre("org/model", "sql"));
}

TEST(ModelTargetsTest, TheShadowOfAPoolIsNobody) {
  EXPECT_TRUE(targets_of(R"(
apiVersion: v1
kind: Service
metadata: {name: pool-ip-0a1b2c3d, namespace: team, labels: {llmd.dev/unified: "true"}}
spec: {ports: [{port: 54321}]}
)")
                  .empty());
}

}  // namespace
}  // namespace llmd::gateway
