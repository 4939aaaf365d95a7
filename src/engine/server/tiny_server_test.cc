// The whole server with a real, small model: what it says must be what the trainer's own forward pass says,
// whoever else is being served.

#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>

#include "base/file.h"
#include "engine/server/served_for_test.h"

namespace llmd::engine {
namespace {

using ::testing::HasSubstr;

constexpr const char* kChat = "/v1/chat/completions";
constexpr const char* kCompletions = "/v1/completions";

json::Value golden() {
  return json::parse(read_file(tiny_model() + "/golden.json").value()).value();
}

class TinyServer : public testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(tiny_model() + "/model.safetensors")) {
      GTEST_SKIP() << "models/tiny is missing";
    }
  }
  Served& start(std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), {tiny_model(), "--served-model-name", "tiny", "--enable-lora",
                                         "--lora-modules", "shout=" + tiny_model() + "/lora-shout"});
    served_.emplace(std::move(arguments));
    return *served_;
  }
  std::optional<Served> served_;
};

std::string chat_body(const json::Value& pair, std::string_view more) {
  const auto adapter = json::string_at(pair, "adapter");
  return fmt::format(R"({{"model":"{}","messages":{},"max_tokens":{},"temperature":0{}}})",
                     adapter ? "shout" : "tiny", json::write(json::Value(*json::array_at(pair, "messages"))),
                     *json::int_at(pair, "max_tokens"), more);
}

TEST_F(TinyServer, SaysWhatItsTrainerComputed) {
  Served& server = start();
  const json::Value all = golden();
  for (const json::Value& pair : *json::array_at(all, "pairs")) {
    if (!json::array_at(pair, "messages")) {
      continue;
    }
    SCOPED_TRACE(text_at(pair, "name"));
    const json::Value answer =
        server.post_json(kChat, chat_body(pair, R"(,"logprobs":true,"return_token_ids":true)"));
    EXPECT_EQ(text_at(answer, "choices[0].message.content"), text_at(pair, "text"));
    EXPECT_EQ(text_at(answer, "choices[0].finish_reason"), text_at(pair, "finish_reason"));
    EXPECT_EQ(*json::array_at(answer, "choices[0].token_ids"), *json::array_at(pair, "output_ids"));
    const json::Array& expected = *json::array_at(pair, "logprobs");
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(*json::double_at(answer, fmt::format("choices[0].logprobs.content[{}].logprob", i)),
                  expected[i].to_number<double>(), 5e-3);
    }
  }
}

TEST_F(TinyServer, StreamsTheSameText) {
  Served& server = start();
  const json::Value all = golden();
  for (const json::Value& pair : *json::array_at(all, "pairs")) {
    if (!json::array_at(pair, "messages")) {
      continue;
    }
    std::string text;
    for (const std::string& event : server.post_stream(kChat, chat_body(pair, R"(,"stream":true)"))) {
      if (event != "[DONE]") {
        text += json::string_at(*json::parse(event), "choices[0].delta.content").value_or("");
      }
    }
    EXPECT_EQ(text, text_at(pair, "text"));
  }
}

// The bits of an answer: text, ids and log-probabilities as they are written.
std::string fingerprint(Served& server, std::string_view prompt, int seed) {
  const json::Value answer = server.post_json(
      kCompletions,
      fmt::format(
          R"({{"model":"tiny","prompt":"{}","max_tokens":24,"seed":{},"temperature":0.8,"logprobs":3}})",
          prompt, seed));
  return json::write(*json::find(answer, "choices[0]"));
}

TEST_F(TinyServer, AnswersTheSameBitsWhateverBatchChunksAndCacheDo) {
  constexpr const char* kLong =
      "user asks a rather long question about the capital of France and of Italy and of Spain";
  std::string alone;
  {
    Served& server = start({"--no-enable-prefix-caching", "--max-num-seqs", "1"});
    alone = fingerprint(server, kLong, 7);
    served_.reset();
  }
  Served& server =
      start({"--max-num-batched-tokens", "11", "--num-gpu-blocks-override", "32", "--max-model-len", "512"});
  EXPECT_EQ(fingerprint(server, kLong, 7), alone) << "chunked";
  EXPECT_EQ(fingerprint(server, kLong, 7), alone) << "cached";
  EXPECT_GT(server.metric("vllm:prefix_cache_hits_total"), 0);
  // A list of prompts shares the batch.
  const json::Value crowd = server.post_json(
      kCompletions,
      fmt::format(
          R"({{"prompt":["x","{}","what is","{}"],"max_tokens":24,"seed":7,"temperature":0.8,"logprobs":3}})",
          kLong, kLong));
  json::Value choice = *json::find(crowd, "choices[1]");
  choice.as_object()["index"] = 0;
  EXPECT_EQ(json::write(choice), alone) << "in a batch";
}

TEST_F(TinyServer, ScoresAPromptWithEcho) {
  Served& server = start();
  const json::Value pair = *json::find(golden(), "pairs[0]");
  const json::Value answer = server.post_json(
      kCompletions, fmt::format(R"({{"prompt":{},"max_tokens":0,"echo":true,"logprobs":0}})",
                                json::write(json::Value(*json::array_at(pair, "prompt_ids")))));
  const json::Array& scores = *json::array_at(answer, "choices[0].logprobs.token_logprobs");
  EXPECT_TRUE(scores.front().is_null());
  double sum = 0;
  for (std::size_t i = 1; i < scores.size(); ++i) {
    sum += scores[i].to_number<double>();
  }
  EXPECT_NEAR(sum, *json::double_at(pair, "prompt_logprob_sum"), 0.05);
}

TEST_F(TinyServer, ShowsTokensAndScoresOfThePrompt) {
  Served& server = start();
  const json::Value pair = *json::find(golden(), "pairs[0]");
  const json::Value answer =
      server.post_json(kChat, chat_body(pair, R"(,"prompt_logprobs":1,"return_token_ids":true)"));
  EXPECT_EQ(*json::array_at(answer, "prompt_token_ids"), *json::array_at(pair, "prompt_ids"));
  const json::Array& scores = *json::array_at(answer, "prompt_logprobs");
  EXPECT_EQ(scores.size(), json::array_at(pair, "prompt_ids")->size());
  EXPECT_TRUE(scores.front().is_null());
  EXPECT_GE(scores.back().as_object().size(), 1U);
}

// The text of an answer that has to match `constraint` (members of the request's body).
std::string constrained(Served& server, std::string_view constraint, std::string_view finish = "stop") {
  const json::Value answer = server.post_json(
      kChat,
      fmt::format(R"({{"messages":[{{"role":"user","content":"Hello"}}],"max_tokens":120,"seed":5,{}}})",
                  constraint));
  EXPECT_EQ(text_at(answer, "choices[0].finish_reason"), finish) << json::write(answer);
  return text_at(answer, "choices[0].message.content");
}

TEST_F(TinyServer, AnswersInTheFormThatWasAskedFor) {
  Served& server = start();
  EXPECT_THAT(constrained(server, R"("guided_choice":["paris","rome and paris"])"),
              ::testing::AnyOf("paris", "rome and paris"));
  EXPECT_THAT(constrained(server, R"("structured_outputs":{"regex":"[0-9]{3}-[a-c]{2}"})"),
              ::testing::MatchesRegex("[0-9][0-9][0-9]-[a-c][a-c]"));
  EXPECT_THAT(constrained(server, R"("guided_regex":"ab","ignore_eos":true,"temperature":0)"), "ab");
  const std::string schema = R"({"type":"object","properties":{"city":{"type":"string","maxLength":8},)"
                             R"("size":{"enum":["small","big"]},"ok":{"type":"boolean"}},)"
                             R"("required":["city","size","ok"],"additionalProperties":false})";
  for (const std::string& field :
       {R"("response_format":{"type":"json_schema","json_schema":{"name":"city","schema":)" + schema + "}}",
        R"("guided_json":)" + schema}) {
    const auto value = json::parse(constrained(server, field));
    ASSERT_TRUE(value) << value.error().text();
    EXPECT_EQ(value->as_object().size(), 3U);
    EXPECT_TRUE(value->at("city").is_string());
    EXPECT_THAT(text_at(*value, "size"), ::testing::AnyOf("small", "big"));
    EXPECT_TRUE(value->at("ok").is_bool());
  }
  EXPECT_THAT(
      constrained(server, R"("response_format":{"type":"json_object"},"max_completion_tokens":3)", "length"),
      ::testing::StartsWith("{"));
}

TEST_F(TinyServer, ChoicesOfOneRequestShareAConstraint) {
  Served& server = start();
  const json::Value answer = server.post_json(
      kCompletions, R"({"prompt":["a","b"],"n":3,"max_tokens":40,"seed":1,"guided_regex":"(x|yz){4}"})");
  EXPECT_EQ(json::array_at(answer, "choices")->size(), 6U);
  for (const json::Value& choice : *json::array_at(answer, "choices")) {
    EXPECT_THAT(text_at(choice, "text"), ::testing::MatchesRegex("(x|yz)(x|yz)(x|yz)(x|yz)"));
  }
}

constexpr const char* kWeather =
    R"("messages":[{"role":"user","content":"Hello"}],"max_tokens":150,"seed":3,"tools":[{"type":"function",)"
    R"("function":{"name":"weather","parameters":{"type":"object","properties":{"city":{"enum":["paris","rome"]},)"
    R"("days":{"type":"integer"}},"required":["city"]}}}])";

TEST_F(TinyServer, CallsTheToolThatIsNamed) {
  Served& server = start();
  const std::string body =
      fmt::format(R"({{{},"tool_choice":{{"type":"function","function":{{"name":"weather"}}}})", kWeather);
  const json::Value answer = server.post_json(kChat, body + "}");
  EXPECT_EQ(text_at(answer, "choices[0].finish_reason"), "stop") << json::write(answer);
  EXPECT_TRUE(json::find(answer, "choices[0].message.content")->is_null());
  EXPECT_EQ(text_at(answer, "choices[0].message.tool_calls[0].function.name"), "weather");
  const std::string arguments = text_at(answer, "choices[0].message.tool_calls[0].function.arguments");
  const auto parsed = json::parse(arguments);
  ASSERT_TRUE(parsed) << arguments;
  EXPECT_THAT(text_at(*parsed, "city"), ::testing::AnyOf("paris", "rome"));

  std::string streamed;
  int named = 0;
  for (const std::string& event : server.post_stream(kChat, body + R"(,"stream":true})")) {
    if (event != "[DONE]") {
      const json::Value chunk = *json::parse(event);
      named += json::string_at(chunk, "choices[0].delta.tool_calls[0].function.name") == "weather" ? 1 : 0;
      streamed += json::string_at(chunk, "choices[0].delta.tool_calls[0].function.arguments").value_or("");
    }
  }
  EXPECT_EQ(streamed, arguments);
  EXPECT_EQ(named, 1);
}

TEST_F(TinyServer, CallsSomeToolWhereOneIsRequired) {
  Served& server = start();
  const json::Value answer = server.post_json(
      kChat, fmt::format(R"({{{},"tool_choice":"required","parallel_tool_calls":false}})", kWeather));
  EXPECT_EQ(text_at(answer, "choices[0].finish_reason"), "tool_calls") << json::write(answer);
  EXPECT_EQ(json::array_at(answer, "choices[0].message.tool_calls")->size(), 1U);
  EXPECT_TRUE(json::parse(text_at(answer, "choices[0].message.tool_calls[0].function.arguments")));
}

TEST_F(TinyServer, LetsTheModelChooseOnlyWhenStartedSo) {
  EXPECT_EQ(start().post(kChat, fmt::format("{{{}}}", kWeather)).status, 400);
  served_.reset();
  Served& server = start({"--enable-auto-tool-choice", "--tool-call-parser", "hermes"});
  const json::Value answer = server.post_json(kChat, fmt::format("{{{}}}", kWeather));
  EXPECT_TRUE(json::array_at(answer, "choices[0].message.tool_calls")) << json::write(answer);
  EXPECT_EQ(server.post(kChat, fmt::format(R"({{{},"tool_choice":{{"function":{{"name":"x"}}}}}})", kWeather))
                .status,
            400);
}

TEST_F(TinyServer, LoadsAndUnloadsAdaptersWhileRunning) {
  setenv("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "1", 1);
  Served& server = start();
  unsetenv("VLLM_ALLOW_RUNTIME_LORA_UPDATING");
  const std::string load = fmt::format(R"({{"lora_name":"loud","lora_path":"{}/lora-shout"}})", tiny_model());
  EXPECT_EQ(server.post("/v1/load_lora_adapter", load).body,
            "Success: LoRA adapter 'loud' added successfully.");
  EXPECT_EQ(server.post("/v1/load_lora_adapter", load).status, 400) << "twice";
  EXPECT_EQ(server.post("/v1/load_lora_adapter", R"({"lora_name":"x","lora_path":"/nowhere"})").status, 404);
  EXPECT_EQ(server.post("/v1/load_lora_adapter", R"({"lora_name":"x"})").status, 400);
  const auto models = json::parse(server.get("/v1/models").body);
  EXPECT_EQ(text_at(*models, "data[2].id"), "loud");
  EXPECT_EQ(text_at(*models, "data[2].parent"), "tiny");
  const char* kAsk = R"({"model":"loud","messages":[{"role":"user","content":"Hello"}],"temperature":0})";
  EXPECT_EQ(text_at(server.post_json(kChat, kAsk), "model"), "loud");
  EXPECT_EQ(server.post("/v1/unload_lora_adapter", R"({"lora_name":"loud"})").status, 200);
  EXPECT_EQ(server.post("/v1/unload_lora_adapter", R"({"lora_name":"loud"})").status, 404);
  EXPECT_EQ(server.post(kChat, kAsk).status, 404);
}

TEST_F(TinyServer, SaysHowLongIsTooLong) {
  Served& server = start();
  const http::Answer answer = server.post(kCompletions, R"({"prompt":")" + std::string(600, 'a') + "\"}");
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, HasSubstr("maximum context length is 512 tokens"));
  EXPECT_THAT(answer.body, HasSubstr("600"));
}

TEST_F(TinyServer, AFailedStartIsAnError) {
  async::EventLoop loop;
  ServeOptions options =
      parse_arguments(std::vector<std::string>{"/no/such/model", "--host", "127.0.0.1", "--port", "0"})
          .value();
  Service service(loop, std::move(options));
  ASSERT_TRUE(service.listen());
  const Result<void> result = loop.block_on(service.run());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::NotFound);
}

}  // namespace
}  // namespace llmd::engine
