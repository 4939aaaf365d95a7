// The trace of one request: what the proxy's messages make of it, and what the engine is told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "envoy/ext_proc_client.h"
#include "extproc/exchange.h"
#include "extproc/fake_call.h"
#include "trace/testing_spans.h"

namespace llmd::extproc {
namespace {

using envoy::HeaderFieldView;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::UnorderedElementsAre;

constexpr std::string_view kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";
constexpr std::string_view kSampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
constexpr std::string_view kUnsampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

class ExchangeTraceTest : public testing::Test {
 protected:
  void SetUp() override { picker_.update({{.address = {"10.0.0.1", 8000}, .name = "a"}}); }
  void TearDown() override { end(); }
  void trace_with(const trace::Tracer& tracer) { shared_.options.tracer = &tracer; }

  // The engine's traceparent as the proxy is told; empty: nothing is said of it.
  std::string ask(std::string_view traceparent, std::string_view body = R"({"model":"m","prompt":"x"})") {
    std::vector<HeaderFieldView> headers{
        {":method", "POST"}, {":path", "/v1/completions"}, {"x-request-id", "r"}};
    if (!traceparent.empty()) {
      headers.emplace_back("traceparent", traceparent);
    }
    std::string message;
    envoy::append_headers(message, envoy::Part::RequestHeaders, headers, false);
    exchange_->message(message);
    message.clear();
    envoy::append_body(message, envoy::Part::RequestBody, body, true);
    exchange_->message(message);
    envoy::ProcessingResponse answer;
    EXPECT_TRUE(envoy::parse_response(call_.sent.at(0), answer));
    const auto found = std::ranges::find(answer.set, "traceparent", &envoy::HeaderChange::name);
    EXPECT_LE(std::ranges::count(answer.set, "traceparent", &envoy::HeaderChange::name), 1);
    return found == answer.set.end() ? "" : std::string(found->value);
  }
  void engine_answers(std::string_view status) {
    const std::vector<HeaderFieldView> headers{{":status", status}};
    std::string message;
    envoy::append_headers(message, envoy::Part::ResponseHeaders, headers, false);
    exchange_->message(message);
    message.clear();
    envoy::append_body(message, envoy::Part::ResponseBody,
                       R"({"usage":{"prompt_tokens":5,"completion_tokens":2}})", true);
    exchange_->message(message);
    end();
  }
  void end() {
    if (exchange_) {
      exchange_->closed();
      exchange_.reset();
    }
  }

  trace::CollectedSpans collected_;
  const trace::Tracer always_{{.ratio = 1}, collected_};
  const trace::Tracer never_{{.ratio = 0}, collected_};
  async::EventLoop loop_;
  picker::Picker picker_;
  metrics::Registry registry_;
  ServiceMetrics metrics_{registry_};
  Service::Shared shared_{picker_, metrics_, {}};
  FakeCall call_{loop_};
  std::shared_ptr<Exchange> exchange_ = std::make_shared<Exchange>(shared_, call_);
};

TEST_F(ExchangeTraceTest, ARequestContinuesItsClientsTraceAndTheEngineContinuesThat) {
  trace_with(never_);  // the client's word counts, not the ratio
  const std::string told = ask(kSampled);
  engine_answers("200");
  EXPECT_THAT(collected_.names(),
              UnorderedElementsAre("gateway.request", "gateway.request_orchestration",
                                   "run_scheduler_profile", "filter_endpoints", "llm_d.epp.scoring",
                                   testing::StartsWith("llm_d.epp.scorer."), "pick_endpoints"));
  const auto& request = collected_.named("gateway.request");
  const auto& deciding = collected_.named("gateway.request_orchestration");
  EXPECT_EQ(told, trace::format_traceparent(request.context));
  EXPECT_EQ(trace::to_hex(request.context.trace), kTrace);
  EXPECT_EQ(request.parent, 0x00f067aa0ba902b7U);
  EXPECT_EQ(request.kind, trace::SpanKind::Server);
  EXPECT_EQ(deciding.parent, request.context.span);
  EXPECT_EQ(collected_.named("run_scheduler_profile").parent, deciding.context.span);
  EXPECT_EQ(text_of(request, "gen_ai.request.model"), "m");
  EXPECT_EQ(text_of(request, "gen_ai.request.id"), "r");
  EXPECT_EQ(number_of(request, "http.response.status_code"), 200);
  EXPECT_EQ(number_of(request, "gen_ai.usage.output_tokens"), 2);
  EXPECT_EQ(text_of(deciding, "target_model"), "m");
  EXPECT_EQ(number_of(deciding, "request_prio"), 0);
  EXPECT_EQ(number_of(deciding, "llm_d.epp.candidate_endpoints"), 1);
  EXPECT_EQ(text_of(deciding, "llm_d.epp.destination_endpoint"), "10.0.0.1:8000");
  EXPECT_EQ(request.error, std::nullopt);
  EXPECT_GE(request.end_nanoseconds, deciding.end_nanoseconds) << "it lasts until the answer has passed";
}

TEST_F(ExchangeTraceTest, WhatTheClientDoesNotSamplePassesAsItCame) {
  trace_with(always_);
  EXPECT_EQ(ask(kUnsampled), "");
  engine_answers("200");
  EXPECT_THAT(collected_.spans, IsEmpty());
}

TEST_F(ExchangeTraceTest, ANewTraceThatIsNotSampledIsSentWithThatWord) {
  trace_with(never_);
  EXPECT_THAT(ask("nonsense"), MatchesRegex("00-[0-9a-f]{32}-[0-9a-f]{16}-00"));
  engine_answers("200");
  EXPECT_THAT(collected_.spans, IsEmpty());
}

TEST_F(ExchangeTraceTest, WithoutATracerAContextPassesAsItCame) {
  EXPECT_EQ(ask(kSampled), "");
}

TEST_F(ExchangeTraceTest, WhatFailsSaysWhy) {
  trace_with(always_);
  picker_.update({});
  ask("");
  EXPECT_THAT(collected_.named("gateway.request").error.value_or(""), HasSubstr("endpoint candidates"));
  EXPECT_EQ(number_of(collected_.named("gateway.request"), "http.response.status_code"), 503);
  EXPECT_TRUE(collected_.named("gateway.request_orchestration").error);
}

TEST_F(ExchangeTraceTest, ABodyThatIsNoJsonFailsBeforeAnythingIsDecided) {
  trace_with(always_);
  ask("", "nonsense");
  EXPECT_THAT(collected_.names(), UnorderedElementsAre("gateway.request"));
  EXPECT_THAT(collected_.spans[0].error.value_or(""), HasSubstr("error unmarshaling"));
}

TEST_F(ExchangeTraceTest, AnEnginesErrorIsTheRequests) {
  trace_with(always_);
  ask("");
  engine_answers("500");
  EXPECT_EQ(collected_.named("gateway.request").error, "the engine answered 500");
}

TEST_F(ExchangeTraceTest, AClientThatLeavesEndsTheTraceWithAnError) {
  trace_with(always_);
  ask("");
  end();
  EXPECT_THAT(collected_.named("gateway.request").error.value_or(""), HasSubstr("the client left"));
}

}  // namespace
}  // namespace llmd::extproc
