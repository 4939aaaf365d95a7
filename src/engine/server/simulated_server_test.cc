// The HTTP surface, over a simulated engine: every answer's shape, every error, and what happens to clients
// that leave or come in crowds.

#include <gmock/gmock.h>

#include "async/worker.h"
#include "engine/server/served_for_test.h"

namespace llmd::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kChat = "/v1/chat/completions";
constexpr const char* kCompletions = "/v1/completions";

class SimulatedServer : public testing::Test {
 protected:
  Served& start(std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), {"sim", "--simulate", "--mode", "echo"});
    served_.emplace(std::move(arguments));
    return *served_;
  }
  std::optional<Served> served_;
};

TEST_F(SimulatedServer, AnswersAChat) {
  Served& server = start();
  const json::Value answer =
      server.post_json(kChat, R"({"model":"sim","messages":[{"role":"user","content":"Hello!"}]})");
  EXPECT_THAT(text_at(answer, "id"), testing::StartsWith("chatcmpl-"));
  EXPECT_EQ(text_at(answer, "object"), "chat.completion");
  EXPECT_EQ(text_at(answer, "model"), "sim");
  EXPECT_EQ(text_at(answer, "choices[0].message.role"), "assistant");
  EXPECT_EQ(text_at(answer, "choices[0].message.content"), "Hello!");
  EXPECT_EQ(text_at(answer, "choices[0].finish_reason"), "stop");
  EXPECT_EQ(json::int_at(answer, "usage.completion_tokens"), 2);
  EXPECT_EQ(*json::int_at(answer, "usage.total_tokens"), *json::int_at(answer, "usage.prompt_tokens") + 2);
}

TEST_F(SimulatedServer, StreamsAChatOneTokenPerEvent) {
  const auto events = start().post_stream(
      kChat,
      R"({"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"one two three"}]})");
  ASSERT_EQ(events.size(), 1U + 4 + 1 + 1);  // role, four tokens (the last ends it), usage, end
  EXPECT_THAT(events[0], HasSubstr(R"("delta":{"role":"assistant","content":""})"));
  std::string text;
  for (std::size_t i = 1; i < 5; ++i) {
    text += text_at(*json::parse(events[i]), "choices[0].delta.content");
  }
  EXPECT_EQ(text, "one two three");
  EXPECT_EQ(text_at(*json::parse(events[4]), "choices[0].finish_reason"), "stop");
  EXPECT_EQ(json::int_at(*json::parse(events[5]), "usage.completion_tokens"), 4);
  EXPECT_EQ(events[6], "[DONE]");
}

TEST_F(SimulatedServer, CompletesTextsTokensAndListsOfThem) {
  Served& server = start();
  EXPECT_EQ(text_at(server.post_json(kCompletions, R"({"prompt":"abcd","max_tokens":5})"), "choices[0].text"),
            "abcd");
  const json::Value list =
      server.post_json(kCompletions, R"({"prompt":["abcd","efgh"],"n":2,"max_tokens":5})");
  EXPECT_EQ(json::array_at(list, "choices")->size(), 4U);
  EXPECT_EQ(json::int_at(list, "choices[3].index"), 3);
  EXPECT_EQ(json::int_at(list, "usage.prompt_tokens"), 2);
  EXPECT_EQ(json::int_at(list, "usage.completion_tokens"), 4);
}

TEST_F(SimulatedServer, EndsAtTheLimit) {
  const json::Value answer =
      start().post_json(kChat, R"({"max_tokens":2,"messages":[{"role":"user","content":"one two three"}]})");
  EXPECT_EQ(text_at(answer, "choices[0].message.content"), "one two ");
  EXPECT_EQ(text_at(answer, "choices[0].finish_reason"), "length");
}

TEST_F(SimulatedServer, StopsAtAStopString) {
  const json::Value answer =
      start().post_json(kChat, R"({"stop":["tw"],"messages":[{"role":"user","content":"one two three"}]})");
  EXPECT_EQ(text_at(answer, "choices[0].message.content"), "one ");
  EXPECT_EQ(text_at(answer, "choices[0].stop_reason"), "tw");
}

struct BadRequest {
  const char* name;
  const char* path;
  const char* body;
  int status;
  const char* type;
  const char* param;  // "" is null
  const char* message;
};

class Errors : public SimulatedServer, public testing::WithParamInterface<BadRequest> {};

TEST_P(Errors, HaveStatusTypeAndParameter) {
  const BadRequest& bad = GetParam();
  const http::Answer answer = start({"--max-model-len", "64"}).post(bad.path, bad.body);
  EXPECT_EQ(answer.status, bad.status) << answer.body;
  const auto body = json::parse(answer.body);
  ASSERT_TRUE(body) << answer.body;
  EXPECT_EQ(text_at(*body, "error.type"), bad.type);
  EXPECT_EQ(json::int_at(*body, "error.code"), bad.status);
  EXPECT_EQ(json::string_at(*body, "error.param").value_or(""), bad.param);
  EXPECT_THAT(text_at(*body, "error.message"), HasSubstr(bad.message));
}

#define USER R"("messages":[{"role":"user","content":"hi"}])"
INSTANTIATE_TEST_SUITE_P(
    Table, Errors,
    testing::Values(
        BadRequest{"NotJson", kChat, "{", 400, "Bad Request", "body", "not JSON"},
        BadRequest{"NoMessages", kChat, "{}", 400, "Bad Request", "body.messages", "required"},
        BadRequest{"EmptyMessages", kChat, R"({"messages":[]})", 400, "BadRequestError", "messages", "empty"},
        BadRequest{"WrongType", kChat, "{" USER R"(,"temperature":"hot"})", 400, "Bad Request",
                   "body.temperature", "1 validation error: temperature: expected a number"},
        BadRequest{"NoPrompt", kCompletions, "{}", 400, "Bad Request", "body.prompt", "required"},
        BadRequest{"EmptyPromptList", kCompletions, R"({"prompt":[]})", 400, "BadRequestError", "prompt",
                   "empty"},
        BadRequest{"EmptyPrompt", kCompletions, R"({"prompt":[""]})", 400, "BadRequestError", "prompt",
                   "empty"},
        BadRequest{"UnknownModel", kChat, "{" USER R"(,"model":"x"})", 404, "NotFoundError", "model",
                   "The model `x` does not exist."},
        BadRequest{"Temperature", kChat, "{" USER R"(,"temperature":-1})", 400, "BadRequestError",
                   "temperature", "-1"},
        BadRequest{"TopP", kChat, "{" USER R"(,"top_p":0})", 400, "BadRequestError", "top_p", "(0, 1]"},
        BadRequest{"TopK", kChat, "{" USER R"(,"top_k":-2})", 400, "BadRequestError", "top_k", "-2"},
        BadRequest{"MinP", kChat, "{" USER R"(,"min_p":2})", 400, "BadRequestError", "min_p",
                   "between 0 and 1"},
        BadRequest{"Penalty", kChat, "{" USER R"(,"presence_penalty":3})", 400, "BadRequestError",
                   "presence_penalty", "between -2 and 2"},
        BadRequest{"N", kChat, "{" USER R"(,"n":0})", 400, "BadRequestError", "n", "at least 1"},
        BadRequest{"MaxTokens", kChat, "{" USER R"(,"max_tokens":0})", 400, "BadRequestError", "max_tokens",
                   "at least 1"},
        BadRequest{"MinTokens", kChat, "{" USER R"(,"max_tokens":2,"min_tokens":3})", 400, "BadRequestError",
                   "min_tokens", "max_tokens"},
        BadRequest{"EmptyStop", kChat, "{" USER R"(,"stop":[""]})", 400, "BadRequestError", "stop",
                   "empty string"},
        BadRequest{"StreamOptions", kChat, "{" USER R"(,"stream_options":{"include_usage":true}})", 400,
                   "BadRequestError", "stream_options", "stream"},
        BadRequest{"TopLogprobs", kChat, "{" USER R"(,"top_logprobs":2})", 400, "BadRequestError",
                   "top_logprobs", "needs logprobs"},
        BadRequest{"TooManyLogprobs", kCompletions, R"({"prompt":"a","logprobs":21})", 400, "BadRequestError",
                   "logprobs", "20"},
        BadRequest{"LogitBias", kChat, "{" USER R"(,"logit_bias":{"x":1}})", 400, "BadRequestError",
                   "logit_bias", "token id"},
        BadRequest{"TooLong", kCompletions, R"({"prompt":"a","max_tokens":64})", 400, "BadRequestError",
                   "max_tokens", "maximum context length is 64 tokens"},
        BadRequest{"Priority", kChat, "{" USER R"(,"priority":1})", 400, "BadRequestError", "priority",
                   "priority"},
        BadRequest{"Salt", kChat, "{" USER R"(,"cache_salt":""})", 400, "BadRequestError", "cache_salt",
                   "cache_salt"},
        BadRequest{"ToolChoice", kChat, "{" USER R"(,"tool_choice":"auto"})", 400, "BadRequestError",
                   "tool_choice", "needs tools"},
        BadRequest{"Image", kChat,
                   R"({"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]})", 400,
                   "BadRequestError", "messages", "reads text only"},
        BadRequest{"Schema", kChat,
                   "{" USER R"(,"response_format":{"type":"json_schema","json_schema":{"name":"n"}}})", 400,
                   "BadRequestError", "response_format", "needs a schema"},
        BadRequest{"Regex", kChat, "{" USER R"(,"guided_regex":"*a"})", 400, "BadRequestError",
                   "guided_regex", "nothing to repeat"},
        BadRequest{"TwoConstraints", kChat,
                   "{" USER R"(,"guided_regex":"a","response_format":{"type":"json_object"}})", 400,
                   "BadRequestError", "guided_regex", "only one"},
        BadRequest{"FreeGrammar", kChat, "{" USER R"(,"structured_outputs":{"grammar":"root ::= a"}})", 501,
                   "NotImplementedError", "structured_outputs", "not implemented"},
        BadRequest{"Beam", kChat, "{" USER R"(,"use_beam_search":true})", 501, "NotImplementedError",
                   "use_beam_search", "not implemented"},
        BadRequest{"NoSuchPath", "/v1/nothing", "{}", 404, "NotFoundError", "", "/v1/nothing"},
        BadRequest{"NoRuntimeLora", "/v1/load_lora_adapter", "{}", 404, "NotFoundError", "",
                   "load_lora_adapter"},
        BadRequest{"WrongMethod", "/v1/models", "{}", 405, "MethodNotAllowedError", "", "POST"}),
    [](const auto& instance) { return std::string(instance.param.name); });
#undef USER

TEST_F(SimulatedServer, IgnoresFieldsItDoesNotKnow) {
  start().post_json(kChat, R"({"messages":[{"role":"user","content":"hi"}],"brand_new":{"a":1}})");
}

TEST_F(SimulatedServer, RefusesOtherContentTypes) {
  EXPECT_EQ(start().post(kChat, "a=b", {{"Content-Type", "text/plain"}}).status, 415);
}

TEST_F(SimulatedServer, ListsItsNamesAsModels) {
  const auto models =
      json::parse(start({"--served-model-name", "a", "b", "--owned-by", "us"}).get("/v1/models").body);
  EXPECT_EQ(text_at(*models, "data[0].id"), "a");
  EXPECT_EQ(text_at(*models, "data[1].id"), "b");
  EXPECT_EQ(text_at(*models, "data[0].owned_by"), "us");
  EXPECT_EQ(json::int_at(*models, "data[0].max_model_len"), 1024);
}

TEST_F(SimulatedServer, AnswersByTheNameThatWasAskedFor) {
  Served& server = start({"--served-model-name", "a", "b"});
  const char* kUser = R"("messages":[{"role":"user","content":"x"}])";
  EXPECT_EQ(text_at(server.post_json(kChat, fmt::format(R"({{"model":"b",{}}})", kUser)), "model"), "b");
  EXPECT_EQ(text_at(server.post_json(kChat, fmt::format("{{{}}}", kUser)), "model"), "a");
}

TEST_F(SimulatedServer, WantsAKeyForTheApiOnly) {
  Served& server = start({"--api-key", "secret", "other"});
  EXPECT_EQ(server.get("/v1/models").status, 401);
  EXPECT_EQ(server.get("/v1/models").body, R"({"error":"Unauthorized"})");
  EXPECT_EQ(server.get("/v1/models", {{"Authorization", "Bearer wrong"}}).status, 401);
  EXPECT_EQ(server.get("/v1/models", {{"Authorization", "Bearer other"}}).status, 200);
  EXPECT_EQ(server.get("/health").status, 200);
  EXPECT_EQ(server.get("/metrics").status, 200);
}

TEST_F(SimulatedServer, UsesTheClientsRequestId) {
  Served& server = start({"--enable-request-id-headers"});
  const http::Answer answer = server.post(kCompletions, R"({"prompt":"a"})", {{"X-Request-Id", "mine"}});
  EXPECT_EQ(answer.headers.find("X-Request-Id"), "mine");
  EXPECT_EQ(text_at(*json::parse(answer.body), "id"), "cmpl-mine");
  EXPECT_EQ(text_at(server.post_json(kCompletions, R"({"prompt":"a","request_id":"body"})"), "id"),
            "cmpl-body");
}

TEST_F(SimulatedServer, TokenisesAndBack) {
  Served& server = start();
  const json::Value tokens =
      server.post_json("/tokenize", R"({"prompt":"Grüße, world","return_token_strs":true})");
  EXPECT_EQ(json::int_at(tokens, "count"),
            static_cast<std::int64_t>(json::array_at(tokens, "tokens")->size()));
  EXPECT_EQ(json::int_at(tokens, "max_model_len"), 1024);
  const json::Value text = server.post_json(
      "/detokenize", R"({"tokens":)" + json::write(json::Value(*json::array_at(tokens, "tokens"))) + "}");
  EXPECT_EQ(text_at(text, "prompt"), "Grüße, world");
  const json::Value chat = server.post_json("/tokenize", R"({"messages":[{"role":"user","content":"x"}]})");
  EXPECT_GT(*json::int_at(chat, "count"), 0);
}

TEST_F(SimulatedServer, RendersPromptsWithoutTheEngine) {
  Served& server = start();
  const json::Value list = server.post_json("/v1/completions/render", R"({"prompt":["abcd",[5,6]]})");
  EXPECT_EQ(json::array_at(list, "[0].token_ids")->size(), 1U);
  EXPECT_EQ(json::int_at(list, "[1].token_ids[1]"), 6);
  const json::Value chat =
      server.post_json("/v1/chat/completions/render", R"({"messages":[{"role":"user","content":"x"}]})");
  EXPECT_TRUE(json::array_at(chat, "token_ids"));
}

TEST_F(SimulatedServer, GivesThePartOfTheMetricsThatIsAskedFor) {
  Served& server = start();
  const std::string page =
      server.get("/metrics?name[]=vllm:num_requests_running&name%5B%5D=vllm%3Anum_requests_waiting").body;
  EXPECT_THAT(page, HasSubstr("\nvllm:num_requests_running{"));
  EXPECT_THAT(page, HasSubstr("\nvllm:num_requests_waiting{"));
  EXPECT_EQ(std::ranges::count(page, '\n'), 6) << page;
  EXPECT_THAT(server.get("/metrics?other=1").body, HasSubstr("vllm:kv_cache_usage_perc"));
}

TEST_F(SimulatedServer, HasEveryMetricFromTheStart) {
  Served& server = start();
  const std::string page = server.get("/metrics").body;
  for (const char* family : {"num_requests_running",
                             "num_requests_waiting",
                             "kv_cache_usage_perc",
                             "gpu_cache_usage_perc",
                             "cache_config_info",
                             "lora_requests_info",
                             "prompt_tokens_total",
                             "generation_tokens_total",
                             "prefix_cache_queries_total",
                             "prefix_cache_hits_total",
                             "num_preemptions_total",
                             "request_success_total",
                             "iteration_tokens_total_bucket",
                             "time_to_first_token_seconds_bucket",
                             "inter_token_latency_seconds_bucket",
                             "time_per_output_token_seconds_sum",
                             "e2e_request_latency_seconds_count",
                             "request_queue_time_seconds_bucket",
                             "request_prefill_time_seconds_bucket",
                             "request_decode_time_seconds_bucket",
                             "request_inference_time_seconds_bucket",
                             "request_prompt_tokens_bucket",
                             "request_generation_tokens_bucket",
                             "request_params_max_tokens_bucket",
                             "request_params_n_bucket"}) {
    EXPECT_THAT(page, HasSubstr("\nvllm:" + std::string(family)));
  }
  EXPECT_THAT(page, HasSubstr("# TYPE vllm:num_requests_running gauge"));
  EXPECT_THAT(page, HasSubstr(R"(block_size="16")"));
  EXPECT_THAT(page, HasSubstr(R"(num_gpu_blocks="1024")"));
  EXPECT_GT(page.size(), 80U * 1024);
  EXPECT_LT(page.size(), 130U * 1024);
}

TEST_F(SimulatedServer, CountsWhatItDid) {
  Served& server = start();
  for (int i = 0; i < 3; ++i) {
    server.post_json(
        kCompletions,
        R"({"prompt":"the same prompt of more than sixteen tokens: abcdefghijklmnopqrstuvwxyz","max_tokens":4})");
  }
  EXPECT_EQ(server.metric(R"(vllm:request_success_total{engine="0",finished_reason="length")"), 3);
  EXPECT_EQ(server.metric("vllm:generation_tokens_total"), 12);
  EXPECT_EQ(server.metric("vllm:time_to_first_token_seconds_count"), 3);
  EXPECT_EQ(server.metric("vllm:inter_token_latency_seconds_count"), 9);
  EXPECT_EQ(server.metric("vllm:prefix_cache_hits_total"), 32);
  EXPECT_EQ(server.metric("vllm:prompt_tokens_total"), server.metric("vllm:prefix_cache_queries_total"));
  EXPECT_EQ(server.metric("vllm:kv_cache_usage_perc"), 0);
}

TEST_F(SimulatedServer, ReportsCachedTokensWhenAsked) {
  Served& server = start({"--enable-prompt-tokens-details"});
  const std::string body = R"({"prompt":")" + std::string(200, 'a') + R"(","max_tokens":1})";
  EXPECT_THAT(server.post(kCompletions, body).body, HasSubstr(R"("prompt_tokens_details":null)"));
  EXPECT_EQ(json::int_at(server.post_json(kCompletions, body), "usage.prompt_tokens_details.cached_tokens"),
            48);
}

TEST_F(SimulatedServer, AClientThatLeavesStopsItsGeneration) {
  Served& server = start({"--inter-token-latency", "1h"});
  auto leave = [&]() -> Task<void> {
    http::ClientRequest request{.address = server.address(),
                                .content = R"({"prompt":"abcdefgh","stream":true,"max_tokens":9})"};
    request.head.method = "POST";
    request.head.target = kCompletions;
    request.head.headers.add("Content-Type", "application/json");
    auto response = co_await server.pool().send(std::move(request));
    EXPECT_TRUE(response);
    auto first = co_await (*response)->body().next();
    EXPECT_THAT(std::string(first.value()), HasSubstr("abcd"));
  };
  server.loop().block_on(leave());
  const char* kAborted = R"(vllm:request_success_total{engine="0",finished_reason="abort")";
  while (server.metric(kAborted) == 0) {  // the server sees the connection close on its loop
  }
  EXPECT_EQ(server.metric("vllm:num_requests_running"), 0);
  EXPECT_EQ(server.metric("vllm:kv_cache_usage_perc"), 0);
}

TEST_F(SimulatedServer, TurnsAwayWhatItCannotQueue) {
  Served& server =
      start({"--max-num-seqs", "1", "--max-waiting-queue-length", "1", "--time-to-first-token", "1h"});
  const http::Answer answer = server.post(kCompletions, R"({"prompt":["a","b","c"]})");
  EXPECT_EQ(answer.status, 429);
  EXPECT_THAT(answer.body, HasSubstr("RateLimitError"));
  // The two that had been accepted went with their sibling.
  EXPECT_EQ(server.metric("vllm:num_requests_running"), 0);
  EXPECT_EQ(server.metric("vllm:num_requests_waiting"), 0);
}

TEST_F(SimulatedServer, FailsOnDemand) {
  Served& server = start({"--failure-injection-rate", "100", "--failure-types", "rate_limit"});
  EXPECT_EQ(server.post(kCompletions, R"({"prompt":"a"})").status, 429);
  served_.reset();
  Served& other = start();
  EXPECT_EQ(other.post(kCompletions, R"({"prompt":"a"})", {{"X-Return-Error", "503"}}).status, 503);
  EXPECT_EQ(other.post(kCompletions, R"({"prompt":"a"})", {{"X-Return-Error", "x"}}).status, 400);
}

TEST_F(SimulatedServer, RandomTextIsTheSameForTheSameSeed) {
  served_.emplace(std::vector<std::string>{"sim", "--simulate"});
  const char* kBody = R"({"prompt":"a","max_tokens":20,"seed":7})";
  const std::string text = text_at(served_->post_json(kCompletions, kBody), "choices[0].text");
  EXPECT_EQ(text_at(served_->post_json(kCompletions, kBody), "choices[0].text"), text);
  EXPECT_NE(text_at(served_->post_json(kCompletions, R"({"prompt":"a","max_tokens":20,"seed":8})"),
                    "choices[0].text"),
            text);
}

TEST_F(SimulatedServer, StreamsAndAnswersWholeTheSameText) {
  served_.emplace(std::vector<std::string>{"sim", "--simulate"});
  for (int seed = 0; seed < 20; ++seed) {
    const std::string common =
        fmt::format(R"("prompt":"a","max_tokens":40,"seed":{},"stop":["the ","ll"],"n":2)", seed);
    const json::Value whole = served_->post_json(kCompletions, "{" + common + "}");
    std::array<std::string, 2> streamed;
    for (const std::string& event : served_->post_stream(kCompletions, "{" + common + R"(,"stream":true})")) {
      if (event != "[DONE]") {
        const auto chunk = json::parse(event);
        streamed[static_cast<std::size_t>(*json::int_at(*chunk, "choices[0].index"))] +=
            text_at(*chunk, "choices[0].text");
      }
    }
    EXPECT_EQ(streamed[0], text_at(whole, "choices[0].text"));
    EXPECT_EQ(streamed[1], text_at(whole, "choices[1].text"));
  }
}

TEST_F(SimulatedServer, DrainsWhenItIsStopped) {
  Served& server = start({"--shutdown-timeout", "60"});
  server.post_json(kCompletions, R"({"prompt":"a"})");
  served_.reset();  // joins the service: it must come to its end
}

}  // namespace
}  // namespace llmd::engine
