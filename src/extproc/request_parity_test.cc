// What llm-d's own tests of its request path state, in tables: which bodies a path takes, what a client is
// told, what the proxy's hint means, and what the picker sets.
#include <set>
#include <thread>

#include "extproc/rules.h"
#include "extproc/testing_exchange.h"

namespace llmd::extproc {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

class RequestParity : public ExchangeTest {
 public:
  // The proxy's answers to one whole request.
  std::vector<pb::ProcessingResponse> ask(std::string_view path, std::string_view text,
                                          const Fields& more = {}) {
    begin();
    Fields fields = more;
    fields.emplace_back(":path", path);
    const auto at_headers =
        say(headers(false, BodyMode::FullDuplexStreamed, BodyMode::FullDuplexStreamed, false, fields));
    EXPECT_THAT(at_headers, IsEmpty());
    return say(body(text, true));
  }
  std::vector<pb::ProcessingResponse> ask(const Fields& more = {}) {
    return ask("/v1/completions", kBody, more);
  }

  struct Told {
    std::uint32_t status = 200;
    std::string text;
    std::string reason;
  };
  static Told told(const std::vector<pb::ProcessingResponse>& answers) {
    if (answers.empty() || !answers[0].has_immediate_response()) {
      return {};
    }
    const auto& immediate = answers[0].immediate_response();
    return {static_cast<std::uint32_t>(immediate.status().code()), immediate.body(),
            header_of(immediate.headers(), "x-llm-d-request-dropped-reason")};
  }
  static std::string destination(const std::vector<pb::ProcessingResponse>& answers) {
    return answers.empty() ? ""
                           : header_of(answers[0].request_headers().response().header_mutation(),
                                       "x-gateway-destination-endpoint");
  }
  void objective(std::string name, int priority) {
    auto rules = std::make_shared<Rules>();
    rules->priorities[name] = priority;
    shared().pools->only()->set_rules(std::move(rules));
  }
};

TEST_F(RequestParity, APathSaysWhatABodyMustHave) {
  constexpr const char* kUsual = "";
  constexpr const char* kOpenAiOnly = "requestHandler: {parsers: [{pluginRef: openai-parser}]}\n";
  constexpr const char* kSglang = "requestHandler: {parsers: [{pluginRef: sglanghttp-parser}]}\n";
  constexpr const char* kPassthrough = "requestHandler: {parsers: [{pluginRef: passthrough-parser}]}\n";
  struct Row {
    const char* parsers;
    const char* path;
    const char* body;
    const char* complaint;  // ""
  };
  for (const Row& row : {
           Row{kUsual, "/v1/chat/completions", R"({"model":"m","messages":[{"role":"user","content":"x"}]})",
               ""},
           Row{kUsual, "/v1/chat/completions", R"({"model":"m"})", "must have valid messages field"},
           Row{kUsual, "/v1/chat/completions?beta=1", R"({"model":"m"})", "must have valid messages field"},
           Row{kUsual, "/prefix/v1/completions", R"({"model":"m","prompt":["a","b"]})", ""},
           Row{kUsual, "/v1/completions", R"({"model":"m","prompt":[1,2,3]})", ""},
           Row{kUsual, "/v1/completions", R"({"model":"m"})", "must have prompt field"},
           Row{kUsual, "/v1/embeddings", R"({"model":"m","input":"x"})", ""},
           Row{kUsual, "/v1/embeddings", R"({"model":"m"})", "must have input field"},
           Row{kUsual, "/v1/responses", R"({"model":"m","input":"x"})", ""},
           Row{kUsual, "/v1/responses", R"({"model":"m"})", "must have input field"},
           Row{kUsual, "/v1/conversations", R"({"model":"m","items":[{"role":"user"}]})", ""},
           Row{kUsual, "/v1/conversations", R"({"model":"m"})", "must have items field"},
           Row{kUsual, "/v1/images/generations", R"({"model":"m","prompt":"a cat"})", ""},
           Row{kUsual, "/v1/images/generations", R"({"model":"m"})", "must have prompt field"},
           Row{kUsual, "/v1/messages", R"({"model":"m","messages":[{"role":"user","content":"x"}]})", ""},
           Row{kUsual, "/v1/messages", R"({"model":"m","max_tokens":5})", "must have messages field"},
           Row{kUsual, "/v1/messages/count_tokens", R"({"model":"m"})", ""},
           Row{kUsual, "/inference/v1/generate", R"({"model":"m","token_ids":[1,2]})", ""},
           Row{kUsual, "/inference/v1/generate", R"({"model":"m"})", "must have token_ids field"},
           Row{kUsual, "/inference/v1/generate", R"({"token_ids":[1,2]})", "model not found in request body"},
           Row{kUsual, "/v1/completions", R"({"prompt":"x"})", "model not found in request body"},
           Row{kUsual, "/v1/completions", R"({"model":5,"prompt":"x"})", "model not found in request body"},
           Row{kUsual, "/v1/completions", "nonsense", "error unmarshaling request bodyMap"},
           Row{kUsual, "/v1/rerank", R"({"query":"x"})", ""},  // nobody's path is passed through
           Row{kUsual, "/v1/audio/transcriptions", "--boundary\r\nbytes", ""},  // whatever it is
           Row{kOpenAiOnly, "/v1/rerank", R"({"model":"m","query":"x"})",
               "no parser claims the path '/v1/rerank'"},
           Row{kOpenAiOnly, "/v1/messages", R"({"model":"m","messages":[]})", "no parser claims the path"},
           Row{kOpenAiOnly, "/v1/completions/", R"({"model":"m","prompt":"x"})", ""},
           Row{kSglang, "/generate", R"({"input_ids":[1,2]})", ""},  // SGLang's own API names no model
           Row{kSglang, "/generate", R"({"text":"x"})", "must have input_ids field"},
           Row{kSglang, "/generate", "nonsense", "error unmarshaling request bodyMap"},
           Row{kSglang, "/v2/generate", R"({"input_ids":[1,2]})", "no parser claims the path"},
           Row{kPassthrough, "/v1/completions", "nonsense", ""},
           Row{kPassthrough, "/v1/completions", "", ""},
       }) {
    serve("plugins: [{type: queue-scorer}]\n" + std::string(row.parsers), {"10.0.0.1"});
    const auto answers = ask(row.path, row.body);
    const Told got = told(answers);
    if (std::string_view(row.complaint).empty()) {
      EXPECT_EQ(destination(answers), "10.0.0.1:8000") << row.path << " " << row.body << got.text;
    } else {
      EXPECT_EQ(got.status, 400U) << row.path << " " << row.body;
      EXPECT_THAT(got.text, StartsWith("inference error: BadRequest - ")) << row.path;
      EXPECT_THAT(got.text, HasSubstr(row.complaint)) << row.path << " " << row.body;
    }
  }
}

TEST_F(RequestParity, WhatIsNotReadGoesOnAsItCame) {
  serve("plugins: [{type: queue-scorer}]\n", {"10.0.0.1"});
  for (const std::string_view text :
       {std::string_view("--boundary\r\nbytes"), std::string_view(R"({"query":"x"})")}) {
    const auto answers = ask("/v1/other", text, {{"x-llm-d-model-name-rewrite", "target"}});
    ASSERT_THAT(answers, SizeIs(2));
    EXPECT_EQ(answers[1].request_body().response().body_mutation().streamed_response().body(), text);
  }
}

TEST_F(RequestParity, EveryRefusalHasItsStatusWordsAndReason) {
  struct Row {
    const char* config;
    std::initializer_list<std::string> hosts;
    std::uint32_t status;
    const char* text;
    const char* reason;
  };
  constexpr const char* kNobodyFits =
      "plugins: [{type: label-selector-filter, parameters: {matchLabels: {absent: \"yes\"}}}]\n";
  for (const Row& row : {
           Row{"",
               {},
               503,
               "ServiceUnavailable - failed to find endpoint candidates for serving the request",
               "rejected-no-endpoints"},
           Row{kNobodyFits,
               {"10.0.0.1"},
               429,
               "ResourceExhausted - no endpoints available for the given request",
               "rejected-saturated"},
           Row{"plugins: [{type: decode-filter}, {type: prefill-filter}, {type: disagg-profile-handler}]\n"
               "schedulingProfiles: [{name: decode, plugins: [{pluginRef: prefill-filter}]}]\n",
               {"10.0.0.1"},
               429,
               "ResourceExhausted - no endpoints available for the given request",
               "rejected-saturated"},
           Row{"plugins: [{type: disaggregatedset-rollout-screener, parameters: {scope: {labelSelector: "
               "{matchLabels: {a: b}}}, revisionGating: {mode: sum, requireRoles: {values: [decode]}}}}, "
               "{type: "
               "queue-scorer}]\n",
               {"10.0.0.1"},
               503,
               "ServiceUnavailable - screeners eliminated all endpoint candidates",
               "rejected-no-endpoints"},
           Row{"plugins: [{type: queue-scorer}, {type: random-picker}, {type: header-profile-handler, "
               "parameters: "
               "{defaultProfile: none}}]\nschedulingProfiles: [{name: a, plugins: [{pluginRef: "
               "queue-scorer}]}, {name: "
               "b, plugins: [{pluginRef: queue-scorer}]}]\n",
               {"10.0.0.1"},
               429,
               "ResourceExhausted - failed to find target endpoint: ",
               ""},
       }) {
    serve(row.config, row.hosts);
    const Told got = told(ask());
    EXPECT_EQ(got.status, row.status) << row.config;
    EXPECT_THAT(got.text, StartsWith(std::string("inference error: ") + row.text));
    EXPECT_EQ(got.reason, row.reason) << row.text;
  }
}

TEST_F(RequestParity, ACallerMayWantOnlyWhatIsCached) {
  serve("plugins: [{type: prefix-cache-scorer}]\n", {"10.0.0.1"});
  const std::string text = R"({"model":"m","prompt":")" + std::string(4096, 'p') + R"("})";
  const Fields only_cached{{"prefer", "if-available"}};
  const Told cold = told(ask("/v1/completions", text, only_cached));
  EXPECT_EQ(cold.status, 412U);
  EXPECT_EQ(cold.text, "inference error: PreconditionFailed - no decode worker has the requested KV cache");
  EXPECT_EQ(cold.reason, "");
  ask("/v1/completions", text);
  const auto deadline =
      async::Deadline::after(std::chrono::seconds(30));  // another thread makes the index grow
  while (destination(ask("/v1/completions", text, only_cached)).empty() && !deadline.expired()) {
    std::this_thread::yield();
  }
  EXPECT_EQ(destination(ask("/v1/completions", text, only_cached)), "10.0.0.1:8000") << "it is now";
  serve("plugins: [{type: queue-scorer}]\n", {"10.0.0.1"});
  EXPECT_EQ(told(ask("/v1/completions", text, only_cached)).status, 412U) << "nobody knows what is cached";
}

TEST_F(RequestParity, WithoutFlowControlOnlyLowPrioritiesAreShed) {
  constexpr const char* kConfig = "plugins: [{type: queue-scorer}]\n";
  const Fields batch{{"x-gateway-inference-objective", "batch"}};
  for (const float waiting : {0.F, 100.F}) {
    serve(kConfig, {"10.0.0.1"});
    objective("batch", -1);
    picker().endpoints()->endpoints[0]->report({.waiting = waiting},
                                               std::chrono::steady_clock::now() + std::chrono::hours(1));
    EXPECT_EQ(told(ask()).status, 200U) << "who is not sheddable is let in, however full the pool";
    const Told got = told(ask(batch));
    EXPECT_EQ(got.status, waiting > 0 ? 429U : 200U);
    if (waiting > 0) {
      EXPECT_EQ(got.text, "inference error: ResourceExhausted - system saturated, sheddable request dropped");
    }
    EXPECT_EQ(told(ask({{"x-llm-d-inference-objective", "unknown"}})).status, 200U)
        << "an unknown objective is 0";
  }
}

TEST_F(RequestParity, TheProxysHintNamesTheCandidates) {
  using List = std::vector<std::string>;
  struct Row {
    std::optional<List> list;
    std::string text;  // instead of a list
    std::string key = "x-gateway-destination-endpoint-subset";
    bool honoured = true;
    std::vector<std::string> allowed;  // none: 503
  };
  const std::vector<std::string> all{"10.0.0.1:8000", "10.0.0.2:8000", "10.0.0.3:8000"};
  for (const Row& row : {
           Row{.allowed = all},
           Row{.list = List{"10.0.0.2:1"}, .key = "something-else", .allowed = all},
           Row{.list = List{"10.0.0.2:1"}, .allowed = {all[1]}},
           Row{.list = List{"10.0.0.3"}, .allowed = {all[2]}},
           Row{.list = List{"10.0.0.1:8000", "10.0.0.3:8000"}, .allowed = {all[0], all[2]}},
           Row{.list = List{"10.0.0.2:1", "192.168.0.9:8000"}, .allowed = {all[1]}},
           Row{.list = List{"192.168.0.9:8000"}, .allowed = {}},
           Row{.list = List{}, .allowed = {}},
           Row{.text = "10.0.0.1:8000, 10.0.0.2:8000", .allowed = {all[0], all[1]}},
           Row{.list = List{"10.0.0.2:1"}, .honoured = false, .allowed = all},
       }) {
    serve("plugins: [{type: random-picker}]\n", {"10.0.0.1", "10.0.0.2", "10.0.0.3"},
          {.subset_filter = row.honoured});
    auto message = body(kBody, true);
    auto& fields = *(*message.mutable_metadata_context()->mutable_filter_metadata())["envoy.lb.subset_hint"]
                        .mutable_fields();
    if (row.list) {
      auto* list = fields[row.key].mutable_list_value();
      list->add_values()->set_number_value(7);  // what is no text is left out
      for (const std::string& value : *row.list) {
        list->add_values()->set_string_value(value);
      }
    } else if (!row.text.empty()) {
      fields[row.key].set_string_value(row.text);
    }
    std::set<std::string> seen;
    for (int i = 0; i < 60; ++i) {
      begin();
      say(headers(false));
      const auto answers = say(message);
      if (answers.at(0).has_immediate_response()) {
        EXPECT_EQ(told(answers).status, 503U);
      } else {
        seen.insert(destination(answers));
      }
    }
    EXPECT_THAT(seen, testing::ElementsAreArray(row.allowed)) << row.text;
  }
}

TEST_F(RequestParity, ScoresOfAllCandidatesAreToldWhenAskedFor) {
  for (const bool wanted : {false, true}) {
    serve("plugins: [{type: queue-scorer}]\n", {"10.0.0.1", "10.0.0.2"}, {.emit_scores = wanted});
    const auto now = std::chrono::steady_clock::now() + std::chrono::hours(1);
    picker().endpoints()->endpoints[0]->report({.waiting = 0}, now);
    picker().endpoints()->endpoints[1]->report({.waiting = 4}, now);
    const auto answers = ask();
    const auto& metadata = answers.at(0).dynamic_metadata().fields().at("envoy.lb").struct_value().fields();
    EXPECT_EQ(metadata.at("x-gateway-destination-endpoint").string_value(), "10.0.0.1:8000");
    const auto scores = metadata.find("x-gateway-destination-endpoint-scores");
    ASSERT_EQ(scores != metadata.end(), wanted);
    if (wanted) {
      const auto& each = scores->second.struct_value().fields();
      EXPECT_EQ(each.at("10.0.0.1:8000").number_value(), 1);
      EXPECT_EQ(each.at("10.0.0.2:8000").number_value(), 0);
    }
  }
}

TEST_F(RequestParity, TheSessionIsNamedInTheAnswersHeaders) {
  serve("plugins: [{type: session-affinity-scorer}]\n", {"10.0.0.1", "10.0.0.2"});
  const auto token_of = [&](const std::vector<pb::ProcessingResponse>& answers) {
    return header_of(answers.at(0).response_headers().response().header_mutation(), "x-session-token");
  };
  const auto first = ask();
  EXPECT_EQ(header_of(first[0].request_headers().response().header_mutation(), "x-session-token"), "");
  const std::string token = token_of(say(response_headers(true)));
  ASSERT_NE(token, "");
  for (int i = 0; i < 4; ++i) {
    const auto again = ask({{"x-session-token", token}});
    EXPECT_EQ(destination(again), destination(first));
    EXPECT_EQ(token_of(say(response_headers(true))), token) << "also when the request carried one";
  }
}

TEST_F(RequestParity, RequestsOfOneIdAreStillTwo) {
  serve("plugins: [{type: active-request-scorer}]\n", {"10.0.0.1", "10.0.0.2"});
  const auto first = ask();
  FakeCall other_call(loop_);
  {
    const auto other = std::make_shared<Exchange>(shared(), other_call);
    other->message(
        headers(false, BodyMode::FullDuplexStreamed, BodyMode::FullDuplexStreamed).SerializeAsString());
    other->message(body(kBody, true).SerializeAsString());
    EXPECT_EQ(running(), 2);
    say(response_headers(false));
    say(response_body("first", true));
    EXPECT_EQ(running(), 1) << "the other one of the same id goes on";
    other->message(response_headers(false).SerializeAsString());
    other->message(response_body("second", true).SerializeAsString());
    other->sending();
    pb::ProcessingResponse last;
    ASSERT_TRUE(last.ParseFromString(other_call.sent.back()));
    EXPECT_EQ(last.response_body().response().body_mutation().streamed_response().body(), "second");
    other->closed();
  }
  EXPECT_EQ(running(), 0);
}

TEST_F(RequestParity, AnAnswerWithoutARequestHarmsNobody) {
  begin();
  say(response_headers(false));
  say(response_body(R"({"usage":"?"})", true));
  EXPECT_EQ(running(), 0);
  EXPECT_FALSE(call_->ended && !call_->ended->ok());
}

TEST_F(RequestParity, ModelsOfAnswersAreThoseThatTheClientKnows) {
  serve("plugins: [{type: queue-scorer}]\n", {"10.0.0.1"});
  struct Row {
    std::string from;
    std::string to;
  };
  for (const Row& row : {
           Row{R"({"model":"target","x":1})", R"({"model":"m","x":1})"},
           Row{R"({"model": "target"})", R"({"model": "m"})"},
           Row{R"(data: {"model":"target"}

data: {"model":"target"}

)",
               R"(data: {"model":"m"}

data: {"model":"m"}

)"},
           Row{R"({"model":"targets"})", R"({"model":"targets"})"},
           Row{R"({"model":"other"})", R"({"model":"other"})"},
           Row{R"({"content":"target"})", R"({"content":"target"})"},
           Row{"", ""},
           Row{"data: [DONE]\n\n", "data: [DONE]\n\n"},
       }) {
    ask({{"x-llm-d-model-name-rewrite", "target"}});
    say(response_headers(false));
    const auto back = say(response_body(row.from, true));
    EXPECT_EQ(back.at(0).response_body().response().body_mutation().streamed_response().body(), row.to);
  }
}

TEST_F(RequestParity, RawValuesOfHeadersCountBeforeTexts) {
  serve("plugins: [{type: queue-scorer}]\n", {"10.0.0.1"});
  auto message = headers(false);
  auto* header = message.mutable_request_headers()->mutable_headers()->add_headers();
  header->set_key("x-llm-d-model-name-rewrite");
  header->set_value("text");
  header->set_raw_value("raw");
  say(message);
  EXPECT_THAT(
      say(body(kBody, true)).at(1).request_body().response().body_mutation().streamed_response().body(),
      HasSubstr(R"("model":"raw")"));
  header->clear_raw_value();
  begin();
  say(message);
  EXPECT_THAT(
      say(body(kBody, true)).at(1).request_body().response().body_mutation().streamed_response().body(),
      HasSubstr(R"("model":"text")"));
}

}  // namespace
}  // namespace llmd::extproc
