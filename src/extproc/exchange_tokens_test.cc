// Who counts the tokens of a request: an engine that is asked, or the request itself.
#include "async/event.h"
#include "async/scope.h"
#include "extproc/testing_exchange.h"
#include "http/server.h"
#include "json/path.h"

namespace llmd::extproc {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// With an engine that gives every request forty tokens.
class TokensTest : public ExchangeTest {
 protected:
  void SetUp() override {
    ExchangeTest::SetUp();
    const std::string address = engine_.listen({"127.0.0.1", 0}).value().to_string();
    serve("plugins:\n- type: token-producer\n  parameters: {modelName: served, vllm: {url: 'http://" +
              address +
              "'}}\n"
              "- type: precise-prefix-cache-producer\n  parameters: {kvEventsConfig: {discoverPods: false}}\n"
              "- type: prefix-cache-scorer\n"
              "  parameters: {prefixMatchInfoProducerName: precise-prefix-cache-producer}\n",
          {"10.0.0.1"});
    shared().renderers.start_on(loop_);
  }
  Task<void> render(http::Exchange& exchange) {
    const auto asked = co_await http::read_all(exchange.body(), 1 << 20);
    asked_.push_back(exchange.request().target + " " + asked.value_or(""));
    std::string list = "0";
    for (int id = 1; id < 40; ++id) {
      list += "," + std::to_string(id);
    }
    co_await exchange.respond(200, "application/json",
                              R"({"token_ids":[)" + list +
                                  R"(],"features":{"mm_hashes":{"image":["cat"]},)"
                                  R"("mm_placeholders":{"image":[{"offset":16,"length":4}]}}})");
  }
  // What the picker knows of the request when it has decided.
  json::Value decided(std::string_view path, std::string_view text) {
    begin();
    async::Event done(loop_.executor());
    call_->flushed = [&done] { done.set(); };
    say(headers(false, BodyMode::FullDuplexStreamed, BodyMode::None, false, {{":path", std::string(path)}}));
    if (say(body(text, true)).empty()) {
      loop_.block_on([&]() -> Task<void> {
        co_await async::with_scope(loop_.executor(), [&](async::Scope& scope) -> Task<void> {
          scope.spawn("engine", engine_.run());
          const bool in_time = co_await done.wait_until(async::Deadline::after(std::chrono::seconds(60)));
          EXPECT_TRUE(in_time);
        });
      }());
    }
    call_->flushed = nullptr;
    const json::Value known = json::parse(picker().export_explanations()).value();
    json::Value latest;
    for (const json::Value& decision : *json::array_at(known, "decisions")) {
      const bool is_later = json::int_at(decision, "sequence") >= json::int_at(latest, "sequence");
      latest = is_later ? decision : latest;
    }
    return latest;
  }
  // Whole blocks of its prompt that the precise index looked for.
  static std::int64_t blocks(const json::Value& decision) {
    const json::Object* const scalars = json::object_at(decision, "scalars");
    const json::Value* const total =
        scalars != nullptr ? scalars->if_contains("prefix/precise-prefix-cache-producer/total") : nullptr;
    return total != nullptr ? static_cast<std::int64_t>(total->to_number<double>()) : -1;
  }

  http::Server engine_{loop_, {}, [this](http::Exchange& exchange) { return render(exchange); }};
  std::vector<std::string> asked_;
};

TEST_F(TokensTest, MessagesAreRenderedAsTheChatThatTheyAre) {
  const json::Value decision =
      decided("/v1/messages",
              R"({"model":"claude","max_tokens":5,"system":[{"type":"text","text":"be kind"}],"messages":[
                  {"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png",
                  "data":"AA=="}}]},{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"look",
                  "input":{"at":1}}]}],"tools":[{"name":"look","input_schema":{"type":"object"}}]})");
  EXPECT_THAT(
      asked_,
      ElementsAre(
          R"(/v1/chat/completions/render {"model":"served","messages":[{"role":"system","content":"be kind"},)"
          R"({"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}]},)"
          R"({"role":"assistant","tool_calls":[{"id":"t","type":"function","function":{"name":"look",)"
          R"("arguments":"{\"at\": 1}"}}]}],"tools":[{"type":"function","function":{"name":"look",)"
          R"("parameters":{"type":"object"}}}],"tool_choice":"auto"})"));
  EXPECT_EQ(json::int_at(decision, "request.promptTokens"), 40);
  EXPECT_EQ(blocks(decision), 40 / 16);
}

TEST_F(TokensTest, RequestsInTokensAreNotRendered) {
  struct Row {
    std::string_view path;
    std::string_view body;
  };
  const std::string ids = "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20";
  const std::string completion = R"({"model":"m","prompt":[)" + ids + "]}";
  const std::string several =
      R"({"model":"m","prompt":[[1,2,3,4,5,6,7,8,9,10],[11,12,13,14,15,16,17,18,19,20]]})";
  const std::string embedding = R"({"model":"m","input":[)" + ids + "]}";
  const std::string generate =
      R"({"model":"m","token_ids":[)" + ids + R"(],"sampling_params":{"max_tokens":3}})";
  for (const Row& row : {Row{"/v1/completions", completion}, Row{"/v1/completions", several},
                         Row{"/v1/embeddings", embedding}, Row{"/inference/v1/generate", generate}}) {
    const json::Value decision = decided(row.path, row.body);
    EXPECT_EQ(json::int_at(decision, "request.promptTokens"), 20) << row.body;
    EXPECT_EQ(blocks(decision), 1) << row.body;
    EXPECT_EQ(json::bool_at(decision, "request.multimodal"), false);
  }
  EXPECT_THAT(asked_, IsEmpty());
}

TEST_F(TokensTest, RequestsInTokensSayWhereTheirMediaStand) {
  const json::Value decision =
      decided("/inference/v1/generate",
              R"({"model":"m","token_ids":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17],
          "features":{"mm_hashes":{"image":["cat"]},"mm_placeholders":{"image":[{"offset":1,"length":3}]}}})");
  EXPECT_EQ(json::int_at(decision, "request.promptTokens"), 17);
  EXPECT_EQ(json::bool_at(decision, "request.multimodal"), true);
}

}  // namespace
}  // namespace llmd::extproc
