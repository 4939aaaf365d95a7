// What the gateway asks of every request and notes about it, by its own door: control headers, API keys,
// limits, request ids, access log, metrics.
#include <unistd.h>

#include "base/file.h"
#include "gateway/unified_fixture.h"

namespace llmd::gateway {
namespace {

using testing::HasSubstr;
using testing::Not;

class Traffics : public UnifiedApis {};

TEST_F(Traffics, ControlHeadersNeverComeFromOutside) {
  auto& vllm = engine("m", "vllm");
  serve_gateway({target("a", {vllm.address})});
  chat(R"({"model":"m"})", {{"X-Gateway-Destination-Endpoint", "10.0.0.1:1"},
                            {"x-gateway-destination-endpoint-subset", "a"},
                            {"x-gateway-destination-endpoint-served", "a"},
                            {"x-prefiller-host-port", "a"},
                            {"x-prefiller-url", "a"},
                            {"x-encoder-hosts-ports", "a"},
                            {"x-data-parallel-host-port", "a"},
                            {"x-data-parallel-rank", "1"},
                            {"x-kv-cache-source-host-port", "a"},
                            {"x-llm-d-kv-cache-source-host-port", "a"},
                            {"x-gateway-inference-objective", "a"},
                            {"x-llm-d-inference-fairness-id", "a"},
                            {"x-slo-ttft-ms", "1"},
                            {"x-gateway-model-name-rewrite", "other"},
                            {"x-my-own", "kept"}});
  for (const char* gone : {"destination", "prefiller", "encoder", "parallel", "cache-source", "objective",
                           "fairness", "slo", "rewrite"}) {
    EXPECT_THAT(vllm.seen_head, Not(HasSubstr(gone)));
  }
  EXPECT_THAT(vllm.seen_head, HasSubstr("x-my-own: kept\n"));
}

TEST_F(Traffics, TrustedListenersMaySetObjectivesButNeverDestinations) {
  auto& vllm = engine("m", "vllm");
  serve_gateway({target("a", {vllm.address})}, "trustedListeners: [\"*\"]\n");
  chat(R"({"model":"old"})", {{"x-gateway-model-name-rewrite", "m"},
                              {"x-gateway-inference-objective", "batch"},
                              {"x-gateway-destination-endpoint", "10.0.0.1:1"}});
  EXPECT_EQ(vllm.seen_body, R"({"model":"m"})");
  EXPECT_THAT(vllm.seen_head, HasSubstr("x-gateway-inference-objective: batch\n"));
  EXPECT_THAT(vllm.seen_head, Not(HasSubstr("destination")));
}

// sha256 of "secret-a" and "secret-b".
constexpr std::string_view kKeys = R"(apiKeys:
- name: a
  hash: sha256:8766b9cb08e6040b704f1e3ee1e186efccf2635b1d2634d6525333007e6aeae1
  models: ["ll*"]
  requestsPerMinute: 3
- name: b
  hash: sha256:ff492ef788c89b555e6f738b33d2422f57dbb6656af2402155672c5f123a90af
  tokensPerMinute: 10
  concurrency: 1
  trusted: true
)";

TEST_F(Traffics, KeysDecideWhoMayAskForWhatAndHowMuch) {
  auto& llama = engine("llama", "vllm");
  auto& qwen = engine("qwen", "vllm");
  serve_gateway({target("a", {llama.address}), target("b", {qwen.address})}, kKeys);
  EXPECT_EQ(get("/healthz").status, 200);
  auto refused = chat(R"({"model":"llama"})");
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(code_of(refused), "invalid_api_key");
  EXPECT_EQ(chat(R"({"model":"llama"})", {{"Authorization", "Bearer secret-c"}}).status, 401);
  const http::Headers a{{"Authorization", "Bearer secret-a"}};
  const auto listed = get("/v1/models", a);
  EXPECT_THAT(listed.body, HasSubstr("llama"));
  EXPECT_THAT(listed.body, Not(HasSubstr("qwen")));
  EXPECT_EQ(chat(R"({"model":"llama"})", a).status, 200);
  EXPECT_THAT(llama.seen_head, Not(HasSubstr("authorization")));
  const auto forbidden = chat(R"({"model":"qwen"})", a);
  EXPECT_EQ(forbidden.status, 403);
  EXPECT_EQ(code_of(forbidden), "model_not_allowed");
  const auto limited = chat(R"({"model":"llama"})", a);
  EXPECT_EQ(limited.status, 429);
  EXPECT_EQ(code_of(limited), "rate_limit_exceeded");
  EXPECT_TRUE(limited.headers.has("retry-after"));
  EXPECT_EQ(llama.asked, 1);
  EXPECT_EQ(qwen.asked, 0);
}

TEST_F(Traffics, ARewriteOnATrustedListenerStaysWithinTheKeysModels) {
  auto& llama = engine("llama", "vllm");
  auto& qwen = engine("qwen", "vllm");
  serve_gateway({target("a", {llama.address}), target("b", {qwen.address})},
                std::string(kKeys) + "trustedListeners: [\"*\"]\n");
  const http::Headers a{{"Authorization", "Bearer secret-a"}, {"x-llm-d-model-name-rewrite", "qwen"}};
  EXPECT_EQ(chat(R"({"model":"llama"})", a).status, 403);
  const http::Headers b{{"Authorization", "Bearer secret-b"}, {"x-llm-d-model-name-rewrite", "qwen"}};
  EXPECT_EQ(chat(R"({"model":"llama"})", b).body, "qwen of vllm");
}

TEST_F(Traffics, TokensAreChargedAsEnginesCountThem) {
  auto& llama = engine("llama", "vllm");
  llama.answer = R"({"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}})";
  serve_gateway({target("a", {llama.address})}, kKeys);
  const http::Headers b{{"x-api-key", "secret-b"}};
  EXPECT_EQ(chat(R"({"model":"llama"})", b).status, 200);
  const auto limited = chat(R"({"model":"llama"})", b);
  EXPECT_EQ(limited.status, 429);
  EXPECT_THAT(limited.body, HasSubstr(R"("type":"tokens")"));
  EXPECT_THAT(gateway_->metrics_text(), HasSubstr("llmd_gateway_key_tokens_total{key=\"b\"} 12\n"));
}

TEST_F(Traffics, OneRequestIdGoesEverywhere) {
  auto& llama = engine("llama", "vllm");
  serve_gateway({target("a", {llama.address})});
  auto answer = chat(R"({"model":"llama"})", {{"X-Request-Id", "my-id-1"}});
  EXPECT_EQ(answer.headers.find("x-request-id"), "my-id-1");
  EXPECT_THAT(llama.seen_head, HasSubstr("x-request-id: my-id-1\n"));
  answer = chat(R"({"model":"llama"})");
  const std::string made(answer.headers.find("x-request-id").value_or(""));
  EXPECT_EQ(made.size(), 32u);
  EXPECT_THAT(llama.seen_head, HasSubstr("x-request-id: " + made + "\n"));
}

TEST_F(Traffics, TheAccessLogTellsWhatHappenedAndNoSecrets) {
  auto& llama = engine("llama", "vllm");
  llama.answer = R"({"usage":{"prompt_tokens":9,"completion_tokens":3}})";
  const std::string path = testing::TempDir() + "/access-" + std::to_string(::getpid()) + ".jsonl";
  std::filesystem::remove(path);
  serve_gateway({target("a", {llama.address})}, std::string(kKeys) + "accessLog: {path: " + path + "}\n");
  ask("/v1/completions?owned_by=vllm&secret=1", R"({"model":"llama","prompt":"my prompt"})",
      {{"x-api-key", "secret-b"}, {"x-request-id", "id-7"}});
  client_.close_idle();
  const auto text = read_file(path).value();
  const auto line = json::parse(text.substr(0, text.find('\n')));
  ASSERT_TRUE(line) << text;
  EXPECT_EQ(json::string_at(*line, "requestId"), "id-7");
  EXPECT_EQ(json::string_at(*line, "path"), "/v1/completions");
  EXPECT_EQ(json::string_at(*line, "model"), "llama");
  EXPECT_EQ(json::string_at(*line, "ownedBy"), "vllm");
  EXPECT_EQ(json::string_at(*line, "key"), "b");
  EXPECT_EQ(json::string_at(*line, "upstream"), llama.address.to_string());
  EXPECT_EQ(json::int_at(*line, "status"), 200);
  EXPECT_EQ(json::int_at(*line, "promptTokens"), 9);
  EXPECT_EQ(json::int_at(*line, "completionTokens"), 3);
  EXPECT_THAT(text, Not(HasSubstr("secret")));
  EXPECT_THAT(text, Not(HasSubstr("my prompt")));
}

TEST_F(Traffics, CountRequestsUnderTheNamesOfBothGenerations) {
  auto& llama = engine("llama", "vllm");
  llama.answer =
      R"({"usage":{"prompt_tokens":9,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":4}}})";
  serve_gateway({target("a", {llama.address})});
  chat(R"({"model":"llama"})");
  chat(R"({"model":"nobody"})");
  const std::string page = gateway_->metrics_text();
  const std::string labels = R"({model_name="llama",target_model_name="llama")";
  EXPECT_THAT(page, HasSubstr("llm_d_epp_request_total" + labels + ",priority=\"0\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("inference_objective_request_total" + labels + ",priority=\"0\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("inference_objective_request_ttft_seconds_count" + labels + "} 1\n"));
  EXPECT_THAT(page, HasSubstr("inference_objective_normalized_time_per_output_token_seconds_count" + labels +
                              "} 1\n"));
  EXPECT_THAT(page, HasSubstr("llm_d_epp_request_output_tokens_sum" + labels + "} 3\n"));
  EXPECT_THAT(page, HasSubstr("llm_d_epp_request_cached_tokens_sum" + labels + "} 4\n"));
  EXPECT_THAT(page, HasSubstr("llm_d_epp_request_running{model_name=\"llama\"} 0\n"));
  EXPECT_THAT(page, HasSubstr(R"(llm_d_epp_request_error_total{model_name="unknown",)"
                              R"(target_model_name="unknown",error_code="404"} 1)"));
  EXPECT_THAT(page, HasSubstr("llmd_gateway_refused_requests_total{reason=\"unknown_model\"} 1\n"));
}

TEST(GatewayConfigurationTest, NamesThePlaceOfAMistake) {
  const auto parsed = parse_gateway_configuration(
      "apiVersion: config.llmd.dev/v1alpha1\nkind: GatewayConfiguration\nunified:\n  aliase: {}\n", "g.yaml");
  ASSERT_FALSE(parsed);
  EXPECT_THAT(parsed.error().text(), HasSubstr("g.yaml:4:3"));
  EXPECT_THAT(parsed.error().text(), HasSubstr("did you mean 'aliases'"));
  EXPECT_THAT(parse_gateway_configuration("kind: X", "g.yaml").error().text(),
              HasSubstr("expected apiVersion"));
}

}  // namespace
}  // namespace llmd::gateway
