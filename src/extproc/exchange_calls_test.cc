// Requests and answers that are gRPC messages, as Envoy passes them on.
#include <deque>

#include "envoy/wire.h"
#include "extproc/testing_exchange.h"
#include "json/path.h"

namespace llmd::extproc {
namespace {

using envoy::WireWriter;
using testing::HasSubstr;

std::string framed(std::string_view message) {
  const auto head = http::grpc_head(message.size());
  return std::string(head.data(), head.size()) + std::string(message);
}

std::string message_of(const std::function<void(WireWriter&)>& fill) {
  std::string bytes;
  WireWriter out(bytes);
  fill(out);
  return bytes;
}

std::string packed(std::initializer_list<std::uint64_t> numbers) {
  std::string bytes;
  for (const std::uint64_t number : numbers) {
    envoy::append_varint(bytes, number);
  }
  return bytes;
}

class CallsTest : public ExchangeTest {
 protected:
  void serve_parser(std::string_view parser) {
    serve("plugins: [{type: queue-scorer}]\nrequestHandler: {parsers: [{pluginRef: " + std::string(parser) +
              "}]}\n",
          {"10.0.0.1"}, {.metrics = &numbers_.emplace_back(), .request_metrics = true});
  }
  // The proxy's first answer to a call whose message comes in two pieces.
  pb::ProcessingResponse call(std::string_view path, std::string_view body_bytes) {
    begin();
    say(headers(false, BodyMode::FullDuplexStreamed, BodyMode::FullDuplexStreamed, false,
                {{":path", std::string(path)}, {"content-type", "application/grpc"}}));
    say(body(body_bytes.substr(0, 3), false));
    auto answers = say(body(body_bytes.substr(std::min<std::size_t>(3, body_bytes.size())), true));
    EXPECT_FALSE(answers.empty());
    return answers.empty() ? pb::ProcessingResponse() : answers.front();
  }
  json::Value explained() const { return *json::find(picker().explain_last(1), "[0].request"); }
  void answer(std::string_view bytes, std::size_t step) {
    say(response_headers(false));
    for (; !bytes.empty(); bytes.remove_prefix(std::min(step, bytes.size()))) {
      say(response_body(bytes.substr(0, step), false));
    }
    pb::ProcessingRequest trailers;
    trailers.mutable_response_trailers();
    say(trailers);
  }

  std::deque<metrics::Registry> numbers_;  // of each configuration that served
};

constexpr std::string_view kGenerate = "/vllm.grpc.engine.VllmEngine/Generate";

TEST_F(CallsTest, OfVllmTellTheirPrompt) {
  const auto sampling = [](WireWriter& out) { out.number(8, 77); };
  struct Row {
    std::string_view path;
    std::string message;
    std::int64_t tokens;
    std::int64_t max_tokens;
    bool stream;
  };
  for (const Row& row : {
           Row{kGenerate, message_of([&](WireWriter& out) {
                 out.bytes(1, "id");
                 out.message(2, [](WireWriter& tokenized) {
                   tokenized.bytes(1, std::string(500, 'x'));  // the text, for people
                   tokenized.bytes(2, packed({0, 1, 128, 70'000, 4'294'967'295}));
                 });
                 out.message(4, sampling);
                 out.number(5, 1);
               }),
               5, 77, true},
           Row{kGenerate, message_of([&](WireWriter& out) {
                 out.message(2, [](WireWriter& tokenized) {
                   tokenized.number(2, 7);
                   tokenized.number(2, 8);
                 });
               }),
               2, 0, false},
           Row{kGenerate, message_of([&](WireWriter& out) {
                 out.bytes(3, std::string(399, 'a'));
                 out.message(4, sampling);
               }),
               100, 77, false},
           Row{"/vllm.grpc.engine.VllmEngine/Embed", message_of([&](WireWriter& out) {
                 out.message(2, [](WireWriter& tokenized) { tokenized.bytes(2, packed({5, 6, 7})); });
               }),
               3, 0, false},
           Row{kGenerate, "", 0, 0, false},
       }) {
    serve_parser("vllmgrpc-parser");
    const auto decided = call(row.path, framed(row.message));
    EXPECT_TRUE(chosen(decided.request_headers().response()));
    const json::Value request = explained();
    EXPECT_EQ(json::int_at(request, "promptTokens"), row.tokens);
    EXPECT_EQ(json::int_at(request, "maxTokens"), row.max_tokens);
    EXPECT_EQ(json::bool_at(request, "stream"), row.stream);
    expect_whole_body(framed(row.message));
  }
}

TEST_F(CallsTest, WithTheSamePrefixGoToTheSameEndpoint) {
  serve(
      "plugins: [{type: approx-prefix-cache-producer}, {type: prefix-cache-scorer}]\n"
      "requestHandler: {parsers: [{pluginRef: vllmgrpc-parser}]}\n",
      {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"});
  const auto destination = [](const pb::ProcessingResponse& decided) {
    return header_of(decided.request_headers().response().header_mutation(),
                     "x-gateway-destination-endpoint");
  };
  std::string ids;
  for (std::uint64_t id = 0; id < 400; ++id) {
    envoy::append_varint(ids, id * 11);
  }
  const auto ask = [&](std::string_view more) {
    return call(kGenerate, framed(message_of([&](WireWriter& out) {
                  out.message(2, [&](WireWriter& tokenized) { tokenized.bytes(2, ids + std::string(more)); });
                })));
  };
  const std::string first = destination(ask(""));
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(destination(ask(packed({1, 2, 3}))), first);
  }
}

TEST_F(CallsTest, ThatMakeNoSenseAreRefusedAndCompressedOnesPassUnread) {
  for (const std::string& wrong :
       {std::string("abc"), framed("\x0a\xff"), std::string("\0\0\0\0\x09x", 6),
        framed(message_of([](WireWriter& out) {
          out.message(2, [](WireWriter& tokenized) { tokenized.bytes(2, "\xff\xff\xff\xff\xff\x7f"); });
        }))}) {
    serve_parser("vllmgrpc-parser");
    const auto answer = call(kGenerate, wrong);
    ASSERT_TRUE(answer.has_immediate_response());
    EXPECT_EQ(static_cast<int>(answer.immediate_response().status().code()), 400);
    EXPECT_THAT(answer.immediate_response().body(), HasSubstr("malformed"));
  }
  serve_parser("vllmgrpc-parser");
  EXPECT_TRUE(chosen(call(kGenerate, std::string("\1\0\0\0\3zip", 8)).request_headers().response()));
  EXPECT_EQ(json::int_at(explained(), "promptTokens"), 0);
}

TEST_F(CallsTest, OtherMethodsOfTheServicesPassUnread) {
  struct Row {
    std::string_view parser;
    std::string_view path;
  };
  for (const Row& row : {Row{"vllmgrpc-parser", "/vllm.grpc.engine.VllmEngine/GetModelInfo"},
                         Row{"vllmgrpc-parser", "/vllm.grpc.engine.VllmEngine/Abort"},
                         Row{"vertexai-parser", "/google.cloud.aiplatform.v1.PredictionService/Explain"}}) {
    serve_parser(row.parser);
    EXPECT_TRUE(chosen(call(row.path, framed("\x0a\xff")).request_headers().response())) << row.path;
    EXPECT_EQ(json::int_at(explained(), "promptTokens"), 0);
  }
  serve_parser("vllmgrpc-parser");
  EXPECT_TRUE(call("/another.Service/Method", framed("")).has_immediate_response()) << "nobody's";
}

TEST_F(CallsTest, AnswersOfVllmAreCounted) {
  const auto chunk = [](std::uint64_t so_far) {
    return framed(message_of([&](WireWriter& out) {
      out.message(1, [&](WireWriter& counts) {
        counts.bytes(1, packed({1, 2, 3}));
        counts.number(2, 50);
        counts.number(3, so_far);
        counts.number(4, 32);
      });
    }));
  };
  const std::string complete = framed(message_of([](WireWriter& out) {
    out.message(2, [](WireWriter& counts) {
      counts.bytes(1, packed({1, 2, 3}));
      counts.bytes(2, "stop");
      counts.number(3, 50);
      counts.number(4, 9);
      counts.number(5, 32);
    });
  }));
  for (const std::string& bytes : {complete, chunk(1) + chunk(4) + complete, chunk(3) + chunk(9)}) {
    for (const std::size_t step : {1UL, 4UL, 1000UL}) {
      serve_parser("vllmgrpc-parser");
      call(kGenerate, framed(message_of([](WireWriter& out) { out.bytes(3, "hello"); })));
      answer(bytes, step);
      const std::string text = numbers_.back().write_text();
      EXPECT_THAT(text, testing::ContainsRegex("llm_d_epp_request_input_tokens_sum[^\n]* 50\n"));
      EXPECT_THAT(text, testing::ContainsRegex("llm_d_epp_request_output_tokens_sum[^\n]* 9\n"));
      EXPECT_THAT(text, testing::ContainsRegex("llm_d_epp_request_cached_tokens_sum[^\n]* 32\n"));
    }
  }
}

TEST_F(CallsTest, OfVertexAiHoldAnOrdinaryRequest) {
  serve_parser("vertexai-parser");
  const auto http_body = [](std::string_view data) {
    return framed(message_of([&](WireWriter& out) {
      out.bytes(1, "projects/p/locations/l/endpoints/e");
      out.message(2, [&](WireWriter& body) {
        body.bytes(1, "application/json");
        body.bytes(2, data);
      });
    }));
  };
  const std::string request = R"({"model":"gemma","stream":true,"max_tokens":9,"messages":[{"role":"user",)"
                              R"("content":[{"type":"image_url","image_url":{"url":"http://a"}}]}]})";
  for (const std::string_view method : {"ChatCompletions", "StreamRawPredict", "RawPredict"}) {
    const std::string path = "/google.cloud.aiplatform.v1beta1.PredictionService/" + std::string(method);
    EXPECT_TRUE(chosen(call(path, http_body(request)).request_headers().response()));
    const json::Value seen = explained();
    EXPECT_EQ(json::string_at(seen, "model"), "gemma");
    EXPECT_EQ(json::int_at(seen, "maxTokens"), 9);
    EXPECT_EQ(json::bool_at(seen, "stream"), true);
    EXPECT_EQ(json::bool_at(seen, "multimodal"), true);
    EXPECT_NEAR(static_cast<double>(json::int_at(seen, "promptTokens").value_or(0)), 225 + 20, 20);
    expect_whole_body(http_body(request));
  }
  answer(framed(message_of([](WireWriter& out) {
           out.bytes(1, "application/json");
           out.bytes(2, R"({"id":"x","usage":{"prompt_tokens":12,"completion_tokens":3}})");
         })),
         10);
  EXPECT_THAT(numbers_.back().write_text(),
              testing::ContainsRegex("llm_d_epp_request_input_tokens_sum[^\n]* 12\n"));
  // Not JSON: whatever the model's own server takes.
  EXPECT_TRUE(
      chosen(call("/x.PredictionService/RawPredict", http_body("bytes")).request_headers().response()));
}

}  // namespace
}  // namespace llmd::extproc
