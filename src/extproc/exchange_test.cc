// The messages of one request, mode by mode, as a proxy sends them and gets them back (protobuf's own
// classes).
#include <random>

#include "extproc/testing_exchange.h"

namespace llmd::extproc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

TEST_F(ExchangeTest, FullDuplexAnswersHeadersAndBodyTogetherAndEchoesEveryChunk) {
  EXPECT_THAT(say(headers(false, BodyMode::FullDuplexStreamed, BodyMode::FullDuplexStreamed)), SizeIs(0));
  EXPECT_THAT(say(body(kBody.substr(0, 10), false)), SizeIs(0));
  const auto decided = say(body(kBody.substr(10), true));
  ASSERT_THAT(decided, SizeIs(2));
  EXPECT_TRUE(chosen(decided[0].request_headers().response()));
  EXPECT_EQ(header_of(decided[0].request_headers().response().header_mutation(), "content-length"),
            std::to_string(kBody.size()));
  const auto& streamed = decided[1].request_body().response().body_mutation().streamed_response();
  EXPECT_EQ(streamed.body(), kBody);
  EXPECT_TRUE(streamed.end_of_stream());
  EXPECT_EQ(running(), 1);
  EXPECT_THAT(say(response_headers(false)), SizeIs(1));
  const auto echoed = say(response_body("data: x\n\n", false));
  EXPECT_EQ(echoed.at(0).response_body().response().body_mutation().streamed_response().body(),
            "data: x\n\n");
  EXPECT_EQ(running(), 1);
  const auto last = say(response_body("", true));
  EXPECT_TRUE(last.at(0).response_body().response().body_mutation().streamed_response().end_of_stream());
  EXPECT_EQ(running(), 0) << "free when the answer has ended, whatever the stream does";
  EXPECT_EQ(metrics_.answered->value(), 1);
}

TEST_F(ExchangeTest, ALongBodyGoesBackInPiecesAsFastAsTheProxyTakesThem) {
  const std::string long_body = R"({"model":"m","prompt":")" + std::string(500'000, 'p') + R"("})";
  say(headers(false));
  call_->slow = true;
  say(body(long_body, true));
  EXPECT_LT(call_->sent.size(), 6U) << "not everything at once";
  while (call_->waiting > 0) {
    call_->waiting = 0;
    exchange_->drained();
  }
  expect_whole_body(long_body);
}

TEST_F(ExchangeTest, ALongBodyArrivesWholeThoughTheAnswerOrTheProxyIsFaster) {
  const std::string long_body = R"({"model":"m","prompt":")" + std::string(500'000, 'p') + R"("})";
  for (const bool answered : {true, false}) {
    begin();
    say(headers(false));
    call_->slow = true;
    say(body(long_body, true));
    if (answered) {
      say(response_headers(true));
    }
    exchange_->half_closed();
    expect_whole_body(long_body);
    EXPECT_EQ(call_->ended->code, http::GrpcCode::Ok);
  }
}

TEST_F(ExchangeTest, BufferedBodiesAreDecidedWithTheBodyAndNotSentBack) {
  const auto first = say(headers(false, BodyMode::Buffered, BodyMode::Buffered));
  ASSERT_THAT(first, SizeIs(1));
  EXPECT_FALSE(first[0].request_headers().response().clear_route_cache());
  const auto second = say(body(kBody, true));
  ASSERT_THAT(second, SizeIs(1));
  EXPECT_TRUE(chosen(second[0].request_body().response()));
  EXPECT_FALSE(second[0].request_body().response().has_body_mutation());
  say(response_headers(false));
  EXPECT_FALSE(say(response_body("answer", true)).at(0).response_body().response().has_body_mutation());
}

TEST_F(ExchangeTest, StreamedBodiesAreDecidedByTheHeadersUnlessTheProxyDoesNotWait) {
  EXPECT_TRUE(chosen(say(headers(false, BodyMode::Streamed)).at(0).request_headers().response()));
  EXPECT_THAT(say(body(kBody, true)), SizeIs(1));
  begin();
  EXPECT_THAT(say(headers(false, BodyMode::Streamed, BodyMode::None, true)), SizeIs(0));
  const auto answers = say(body(kBody, true));
  ASSERT_THAT(answers, SizeIs(2));
  EXPECT_TRUE(chosen(answers[0].request_headers().response()));
}

TEST_F(ExchangeTest, AStreamedBodyThatDoesNotWaitIsAnsweredMessageByMessage) {
  say(headers(false, BodyMode::Streamed, BodyMode::None, true));
  EXPECT_THAT(say(body(kBody.substr(0, 5), false)), SizeIs(0));
  EXPECT_THAT(say(body(kBody.substr(5), false)), SizeIs(0));
  const auto answers = say(trailers());
  ASSERT_THAT(answers, SizeIs(4));
  EXPECT_TRUE(chosen(answers[0].request_headers().response()));
  EXPECT_TRUE(answers[1].has_request_body());
  EXPECT_TRUE(answers[2].has_request_body());
  EXPECT_TRUE(answers[3].has_request_trailers());
}

TEST_F(ExchangeTest, ABufferedBodyIsWholeThoughTrailersFollowIt) {
  say(headers(false, BodyMode::Buffered, BodyMode::Buffered));
  const auto answers = say(body(kBody, false));
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_TRUE(chosen(answers[0].request_body().response()));
  EXPECT_TRUE(say(trailers()).at(0).has_request_trailers());
}

TEST_F(ExchangeTest, WhereBodiesAreNotSentTheHeadersDecide) {
  EXPECT_TRUE(chosen(say(headers(false, BodyMode::None)).at(0).request_headers().response()));
  say(response_headers(false));
  EXPECT_EQ(running(), 1) << "the answer is on its way";
  exchange_->half_closed();
  EXPECT_EQ(running(), 0);
  EXPECT_EQ(metrics_.closed->value(), 1);
}

TEST_F(ExchangeTest, TrailersOfARequestAreAnsweredAfterItsBody) {
  say(headers(false));
  say(body(kBody, false));
  const auto answers = say(trailers());
  ASSERT_THAT(answers, SizeIs(3));
  EXPECT_TRUE(chosen(answers[0].request_headers().response()));
  EXPECT_FALSE(answers[1].request_body().response().body_mutation().streamed_response().end_of_stream());
  EXPECT_TRUE(answers[2].has_request_trailers());
}

TEST_F(ExchangeTest, MistakesAreAnsweredAtOnceAndEndTheStream) {
  const std::pair<std::string_view, std::string_view> mistakes[] = {
      {R"({"model":"m","prompt":)", "inference error: BadRequest - error unmarshaling request bodyMap: "},
      {"", "inference error: BadRequest - error unmarshaling request bodyMap: "},
      {R"({"prompt":"x"})", "inference error: BadRequest - model not found in request body"},
      {R"({"model":"m"})",
       "inference error: BadRequest - invalid completions request: must have prompt field"},
  };
  for (const auto& [text, message] : mistakes) {
    begin();
    say(headers(false));
    const auto answer = say(body(text, true));
    ASSERT_THAT(answer, SizeIs(1)) << text;
    EXPECT_EQ(answer[0].immediate_response().status().code(), 400U);
    EXPECT_THAT(answer[0].immediate_response().body(), HasSubstr(std::string(message)));
    EXPECT_TRUE(call_->ended && call_->ended->ok());
  }
}

TEST_F(ExchangeTest, WithoutEndpointsItIs503WithTheReason) {
  picker().update({});
  say(headers(false));
  const auto answer = say(body(kBody, true));
  EXPECT_EQ(answer.at(0).immediate_response().status().code(), 503U);
  EXPECT_EQ(header_of(answer[0].immediate_response().headers(), "x-llm-d-request-dropped-reason"),
            "rejected-no-endpoints");
}

TEST_F(ExchangeTest, A503OfTheProxysOwnIsASignAgainstTheEndpointUntilItsScraperHasLookedAgain) {
  struct Case {
    std::string status;
    bool from_engine;
    bool scraped;
    bool left_out;
  };
  for (const Case& one : {Case{"503", false, true, true}, Case{"503", true, true, false},
                          Case{"500", false, true, false}, Case{"503", false, false, false}}) {
    picker().update({});
    picker().update({endpoint("10.0.0.1"), endpoint("10.0.0.2")});
    const auto all = picker().endpoints()->endpoints;
    for (const auto& each : all) {
      if (one.scraped) {
        each->connected(true);
      }
    }
    begin();
    say(headers(false));
    say(body(kBody, true));
    const auto chosen_one = all[0]->running() > 0 ? all[0] : all[1];
    auto answer = response_headers(true, one.status);
    if (one.from_engine) {
      auto* header = answer.mutable_response_headers()->mutable_headers()->add_headers();
      header->set_key("x-envoy-upstream-service-time");
      header->set_raw_value("3");
    }
    say(answer);
    EXPECT_EQ(chosen_one->unreachable(), one.left_out) << one.status << one.from_engine << one.scraped;
    chosen_one->connected(true);
    EXPECT_FALSE(chosen_one->unreachable());
    end();
  }
}

TEST_F(ExchangeTest, BodiesThatAreTooLargeOrTooManyAreRefused) {
  shared().options.max_body_bytes = 100;
  say(headers(false));
  EXPECT_EQ(say(body(std::string(101, 'x'), false)).at(0).immediate_response().status().code(), 413U);
  begin();
  shared().options.held_bytes = 50;
  say(headers(false));
  EXPECT_EQ(say(body(std::string(51, 'x'), false)).at(0).immediate_response().status().code(), 503U);
}

TEST_F(ExchangeTest, TheProxysSubsetBoundsTheChoice) {
  auto message = body(kBody, true);
  auto& hint = (*message.mutable_metadata_context()->mutable_filter_metadata())["envoy.lb.subset_hint"];
  auto* list = (*hint.mutable_fields())["x-gateway-destination-endpoint-subset"].mutable_list_value();
  list->add_values()->set_string_value("10.0.0.2:9999");
  for (int i = 0; i < 3; ++i) {
    begin();
    say(headers(false));
    const auto answers = say(message);
    EXPECT_EQ(header_of(answers.at(0).request_headers().response().header_mutation(),
                        "x-gateway-destination-endpoint"),
              "10.0.0.2:8000");
  }
}

TEST_F(ExchangeTest, ControlHeadersOfClientsAreRemoved) {
  say(headers(false, {}, BodyMode::None, false, {{"x-prefiller-host-port", "evil:1"}}));
  const auto answers = say(body(kBody, true));
  EXPECT_THAT(answers.at(0).request_headers().response().header_mutation().remove_headers(),
              ElementsAre("x-prefiller-host-port"));
}

TEST_F(ExchangeTest, AModelIsRewrittenInPlaceAndNothingElse) {
  const Fields rewrite{{"x-llm-d-model-name-rewrite", "target"}};
  say(headers(false, {}, BodyMode::None, false, rewrite));
  const auto answers = say(body(R"({ "model" : "m", "prompt":"m"})", true));
  EXPECT_EQ(answers.at(1).request_body().response().body_mutation().streamed_response().body(),
            R"({ "model" : "target", "prompt":"m"})");
  EXPECT_EQ(header_of(answers[0].request_headers().response().header_mutation(), "content-length"), "35");
  begin();
  say(headers(false, BodyMode::Buffered, BodyMode::None, false, rewrite));
  EXPECT_EQ(
      say(body(R"({"model":"m","prompt":"x"})", true)).at(0).request_body().response().body_mutation().body(),
      R"({"model":"target","prompt":"x"})");
}

TEST_F(ExchangeTest, AMissingRequestIdIsMade) {
  pb::ProcessingRequest bare;
  bare.mutable_request_headers();
  say(bare);
  const auto answers = say(body(kBody, true));
  EXPECT_THAT(header_of(answers.at(0).request_headers().response().header_mutation(), "x-request-id"),
              SizeIs(36));
}

TEST_F(ExchangeTest, AnIpv6AddressHasItsBrackets) {
  picker().update({endpoint("fd00::3")});
  say(headers(true));
  EXPECT_EQ(header_of(answers(0).at(0).request_headers().response().header_mutation(),
                      "x-gateway-destination-endpoint"),
            "[fd00::3]:8000");
}

TEST_F(ExchangeTest, NoEndOfARequestLeavesALeaseBehind) {
  std::mt19937 random(7);
  const std::vector<pb::ProcessingRequest> messages = {
      headers(false, BodyMode::FullDuplexStreamed, BodyMode::FullDuplexStreamed),
      headers(true),
      headers(false, BodyMode::Buffered, BodyMode::None),
      headers(false, BodyMode::None),
      body(kBody, true),
      body(kBody, false),
      body("nonsense", true),
      response_headers(false),
      response_headers(true, "503"),
      response_body("data", false),
      response_body("data", true),
  };
  for (int request = 0; request < 20'000; ++request) {
    begin();
    const int length = static_cast<int>(random() % 8);
    for (int i = 0; i < length; ++i) {
      exchange_->message(messages[random() % messages.size()].SerializeAsString());
    }
    if (random() % 2 == 0) {
      exchange_->half_closed();
    }
  }
  end();
  EXPECT_EQ(running(), 0);
  EXPECT_EQ(metrics_.inflight.value(), 0);
}

}  // namespace
}  // namespace llmd::extproc
