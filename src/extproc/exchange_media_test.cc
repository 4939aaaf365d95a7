// What a picker learns of the images, videos and sounds of a request that Envoy sends.
#include "extproc/testing_exchange.h"
#include "json/path.h"

namespace llmd::extproc {
namespace {

class MediaExchangeTest : public ExchangeTest {
 protected:
  // Where a chat request with these parts goes.
  std::string send(std::string_view parts, const Fields& more = {}) {
    begin();
    const std::string text =
        R"({"model":"m","messages":[{"role":"user","content":[)" + std::string(parts) + "]}]}";
    Fields fields{{":path", "/v1/chat/completions"}};
    fields.insert(fields.end(), more.begin(), more.end());
    say(headers(false, BodyMode::FullDuplexStreamed, BodyMode::None, false, fields));
    say(body(text.substr(0, 100), false));
    const auto decided = say(body(text.substr(100), true));
    EXPECT_FALSE(decided.empty());
    return decided.empty() ? ""
                           : header_of(decided[0].request_headers().response().header_mutation(),
                                       "x-gateway-destination-endpoint");
  }
  std::int64_t prompt_tokens() const {
    return json::int_at(picker().explain_last(1), "[0].request.promptTokens").value_or(-1);
  }
};

constexpr std::string_view kPicture = R"({"type":"text","text":"What is this, in a few words?"},)"
                                      R"({"type":"image_url","image_url":{"url":"http://pictures/cat.png"}})";

TEST_F(MediaExchangeTest, GoWhereTheyHaveBeenEncoded) {
  serve(
      "plugins: [{type: mm-embeddings-cache-producer}, {type: mm-embeddings-cache-scorer}, {type: "
      "max-score-picker}]\n",
      {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"});
  const std::string first = send(kPicture);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(send(kPicture), first);
  }
  std::set<std::string> others;
  for (int i = 0; i < 40; ++i) {
    others.insert(send(R"({"type":"text","text":"image_url"},{"type":"input_audio","input_audio":{"data":")" +
                       std::to_string(i) + R"(","format":"wav"}})"));
  }
  EXPECT_GT(others.size(), 1U) << "what nobody has encoded goes anywhere";
}

TEST_F(MediaExchangeTest, CountAsTokensAndNotAsText) {
  serve(
      "plugins: [{type: queue-scorer}, {type: token-producer, parameters: {estimate: {image: {mode: static, "
      "static: {staticToken: 1000}}, video: {tokensPerFrame: {mode: static, static: {numTokensPerFrame: "
      "10}}}}}}]\n",
      {"10.0.0.1"});
  send(R"({"type":"text","text":"nothing to see"},{"type":"text","text":"and nothing to hear, really"})");
  const std::int64_t text = prompt_tokens();
  EXPECT_LT(text, 100);
  send(R"({"type":"image_url","image_url":{"url":"data:image/png;base64,)" + std::string(400'000, 'A') +
       R"("}})");
  EXPECT_NEAR(static_cast<double>(prompt_tokens()), 1000, 100) << "not a hundred thousand";
  const std::string video = R"({"type":"video_url","video_url":{"url":"http://videos/1"}},)" +
                            std::string(R"({"type":"text","text":"what happens here?"})");
  send(video);
  EXPECT_NEAR(static_cast<double>(prompt_tokens()), 200, 60);
  send(video, {{"x-llm-d-video-duration-seconds", "60"}});
  EXPECT_NEAR(static_cast<double>(prompt_tokens()), 1200, 60);
}

}  // namespace
}  // namespace llmd::extproc
